// All layers of a pass of few rows in one kernel.
//
// In a small network's pass of few rows, kernels that follow each other wait for each other's
// starts and ends longer than for memory. Here the blocks stay, one a multiprocessor, and fetch the
// weights of all layers without ever waiting for other blocks, which meet at a barrier of the grid
// instead (layers.cu). Every number has the bits that the kernels one by one give it.
#pragma once

#include "kernels/cuda/matmul.h"
#include "kernels/cuda/tensor_map.h"

namespace orthrus::cuda {

struct LayersShape {
  Heads heads;
  int layers = 0, hidden = 0, intermediate = 0;
};

// A layer's weights, for one view.
struct LayerWeights {
  MatrixView qkv, o, gate_up, down;
  const __nv_bfloat16 *input_norm = nullptr, *post_attention_norm = nullptr;
  const float* qkv_bias = nullptr;  // as HeadWeights has it and the norms of heads
  const __nv_bfloat16 *q_norm = nullptr, *k_norm = nullptr;
};

// The same as the kernel reads it, from the device's memory.
struct PackedLayer {
  CUtensorMap matrices[4];  // qkv, o, gate_up, down
  const __nv_bfloat16 *input_norm, *post_attention_norm;
  const float* qkv_bias;
  const __nv_bfloat16 *q_norm, *k_norm;
};

// Matrices are BF16.
[[nodiscard]] cudaError_t pack_layer(const LayerWeights& weights, PackedLayer* packed);

// Whether the kernel can run passes of so many rows (the bucket) in contexts of at most
// `positions`, and gains by it.
bool layers_fit(const LayersShape& shape, int rows, int positions);

// The rows of one view, between embed() and rope_table() and the last norm.
struct LayersPass {
  LayersShape shape;
  const PackedLayer* layers;  // on the device
  KvBatch batch;              // of the first layer
  size_t cache_layer_stride;  // from a layer's pages to the next one's, in elements
  const float2* rope;         // what rope_table() made
  float eps;                  // of all norms
  int bucket, positions;      // for which layers_fit
  const int* count;           // on the device: how many of the rows are real
  float* x;                   // [bucket][hidden], the residual stream
  // What the kernel works in: [bucket][heads * head_dim] twice, [bucket][intermediate], for
  // attention (attention.h), and a number that is 0 between passes.
  __nv_bfloat16 *q, *attended, *gated;
  void* attention_workspace;
  unsigned* arrived;
};

// Its blocks must be on the device together, and are: the launch is a cooperative one.
[[nodiscard]] cudaError_t run_layers(const LayersPass& pass, cudaStream_t stream);

void dump_stamps();

}  // namespace orthrus::cuda
