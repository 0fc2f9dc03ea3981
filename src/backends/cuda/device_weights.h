// The network's weights in a CUDA device's memory, as its kernels want them.
#pragma once

#include <cuda_bf16.h>

#include <cstddef>
#include <functional>
#include <map>
#include <vector>

#include "backends/cuda/device.h"
#include "backends/cuda/weight_plan.h"
#include "kernels/cuda/matmul.h"
#include "kernels/cuda/pairwise.h"
#include "network/network_weights.h"

namespace orthrus::cuda {

// A matrix as products take it.
struct DeviceMatrix {
  DeviceArray<std::byte> data;
  int rows = 0, cols = 0;
  WeightForm form = WeightForm::kBf16;

  MatrixView view() const { return {data.data(), rows, cols, form}; }
};

// A table in BF16, of which rows are looked up.
struct DeviceTable {
  DeviceArray<__nv_bfloat16> data;
  int rows = 0, cols = 0;

  MatrixView view() const { return {data.data(), rows, cols}; }
};

struct DeviceAttention {
  std::vector<MatrixView> qkv;                // rows of q_proj, then k_proj, then v_proj, by form
  DeviceArray<float> qkv_bias;                // of those rows, or empty
  MatrixView o;                               // o_proj
  DeviceArray<__nv_bfloat16> q_norm, k_norm;  // [head_dim], or empty
};

struct DeviceMlp {
  MatrixView gate_up;  // rows of gate_proj and up_proj, kGatedRows in turn
  MatrixView down;     // down_proj
};

struct DeviceLayer {
  DeviceArray<__nv_bfloat16> input_layernorm;           // [hidden_size]
  PerView<DeviceAttention> attention;                   // the diffusion view's may be empty
  DeviceArray<__nv_bfloat16> post_attention_layernorm;  // [hidden_size]
  PerView<DeviceMlp> mlp;
};

// What both views share the diffusion view may have copies of, in another form.
struct DeviceWeights {
  DeviceTable embed_tokens;            // [vocab_size][hidden_size]
  std::vector<DeviceMatrix> matrices;  // all that is multiplied with, but such a head
  std::vector<DeviceLayer> layers;
  DeviceArray<__nv_bfloat16> norm;         // [hidden_size]
  PerView<MatrixView> lm_head;             // may be embed_tokens
  DeviceTable pair_previous, pair_next;    // [vocab_size][PairTables::rank], or empty
  PerView<std::map<DType, double>> bytes;  // of the matrices that a pass reads, by their type

  PairTables pair_tables() const {
    return {pair_previous.data.data(), pair_next.data.data(), pair_next.cols};
  }
};

// Uploads `weights`, which lie in the mapped checkpoint, as planned: what has another type there is
// widened and rounded. Tables are always BF16. `progress(done, total)` is told of weights uploaded.
DeviceWeights upload(const ModelConfig& config, const NetworkWeights& weights,
                     const WeightPlan& plan,
                     const std::function<void(size_t done, size_t total)>& progress);

// Uploads numbers that are made up for such a network, as random_weights() makes them, but not the
// same ones.
DeviceWeights upload_made_up(const ModelConfig& config, NetworkWeights& imagined,
                             const WeightPlan& plan,
                             const std::function<void(size_t done, size_t total)>& progress);

}  // namespace orthrus::cuda
