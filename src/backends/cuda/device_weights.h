// The network's weights in a CUDA device's memory, as its kernels want them.
#pragma once

#include <cuda_bf16.h>

#include <functional>
#include <vector>

#include "backends/cuda/device.h"
#include "kernels/cuda/matmul.h"
#include "kernels/cuda/pairwise.h"
#include "network/network_weights.h"

namespace orthrus::cuda {

// A matrix in BF16, row-major; several that take the same input lie one below the other.
struct DeviceMatrix {
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

struct DeviceLayer {
  DeviceArray<__nv_bfloat16> input_layernorm;           // [hidden_size]
  PerView<DeviceAttention> attention;                   // the diffusion view's may be empty
  DeviceArray<__nv_bfloat16> post_attention_layernorm;  // [hidden_size]
  DeviceMatrix gate_up;                                 // rows of gate_proj, then up_proj
  DeviceMatrix down;                                    // down_proj
};

struct DeviceWeights {
  DeviceMatrix embed_tokens;  // [vocab_size][hidden_size]
  std::vector<DeviceLayer> layers;
  DeviceArray<__nv_bfloat16> norm;        // [hidden_size]
  DeviceMatrix head;                      // empty where it is tied to embed_tokens
  DeviceMatrix pair_previous, pair_next;  // [vocab_size][PairTables::rank], or empty

  MatrixView lm_head() const { return head.rows > 0 ? head.view() : embed_tokens.view(); }
  PairTables pair_tables() const {
    return {pair_previous.data.data(), pair_next.data.data(), pair_next.cols};
  }
};

// Bytes of all weights.
double weight_bytes(const ModelConfig& config);

// Bytes of the matrices that a pass in this view reads, the LM head's included.
double pass_bytes(const ModelConfig& config, View view);

// Uploads `weights`, which lie in the mapped checkpoint; what is not BF16 there is widened and
// rounded.
// `progress(done, total)` is told of weights uploaded.
DeviceWeights upload(const ModelConfig& config, const NetworkWeights& weights,
                     const std::function<void(size_t done, size_t total)>& progress);

// Made up, as random_weights() makes them, but not the same ones.
DeviceWeights random_device_weights(const ModelConfig& config,
                                    const std::function<void(size_t done, size_t total)>& progress);

}  // namespace orthrus::cuda
