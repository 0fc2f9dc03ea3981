// The network's weights in a CUDA device's memory, as its kernels want them.
#pragma once

#include <cuda_bf16.h>

#include <cstddef>
#include <functional>
#include <map>
#include <vector>

#include "backends/cuda/device.h"
#include "kernels/cuda/matmul.h"
#include "kernels/cuda/pairwise.h"
#include "network/network_weights.h"

namespace orthrus::cuda {

// A matrix as products take it; several that take the same input lie one below the other.
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
  DeviceMatrix qkv;                           // rows of q_proj, then k_proj, then v_proj
  DeviceArray<float> qkv_bias;                // of those rows, or empty
  DeviceMatrix o;                             // o_proj
  DeviceArray<__nv_bfloat16> q_norm, k_norm;  // [head_dim], or empty
};

struct DeviceMlp {
  DeviceMatrix gate_up;  // rows of gate_proj, then up_proj
  DeviceMatrix down;     // down_proj
};

struct DeviceLayer {
  DeviceArray<__nv_bfloat16> input_layernorm;           // [hidden_size]
  PerView<DeviceAttention> attention;                   // the diffusion view's may be empty
  DeviceArray<__nv_bfloat16> post_attention_layernorm;  // [hidden_size]
  PerView<DeviceMlp> mlps;  // the diffusion view's is empty where it is the AR view's

  const DeviceMlp& mlp(View view) const { return mlps[view].down.rows > 0 ? mlps[view] : mlps.ar; }
};

// What both views share the diffusion view may have copies of, in another form.
struct DeviceWeights {
  DeviceTable embed_tokens;  // [vocab_size][hidden_size]
  std::vector<DeviceLayer> layers;
  DeviceArray<__nv_bfloat16> norm;  // [hidden_size]
  PerView<MatrixView> lm_head;      // embed_tokens, or in `heads`
  std::vector<DeviceMatrix> heads;
  DeviceTable pair_previous, pair_next;    // [vocab_size][PairTables::rank], or empty
  PerView<std::map<DType, double>> bytes;  // of the matrices that a pass reads, by their type

  PairTables pair_tables() const {
    return {pair_previous.data.data(), pair_next.data.data(), pair_next.cols};
  }
};

// Bytes of all weights in these types, as upload() has them.
double weight_bytes(const ModelConfig& config, const WeightTypes& types);

// Uploads `weights`, which lie in the mapped checkpoint, BF16 where `types` don't say Q8_0: what is
// another type there is widened and rounded. Tables are always BF16.
// `progress(done, total)` is told of weights uploaded.
DeviceWeights upload(const ModelConfig& config, const NetworkWeights& weights,
                     const WeightTypes& types,
                     const std::function<void(size_t done, size_t total)>& progress);

// Made up, as random_weights() makes them, but not the same ones.
DeviceWeights random_device_weights(const ModelConfig& config, const WeightTypes& types,
                                    const std::function<void(size_t done, size_t total)>& progress);

}  // namespace orthrus::cuda
