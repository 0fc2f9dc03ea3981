// What is computed row by row between the products. All functions only launch kernels, whose rows
// past *count do nothing; see matmul.h.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda/kv_tiles.h"

namespace orthrus::cuda {

// Widest row of rms_norm.
inline constexpr int kMostNormCols = 8192;

// out[m] = table[ids[m]], for m < min(bucket, *count); the table is [vocabulary][cols], cols a
// multiple of 8. Starts when all before it in the stream is complete, and so begins a pass.
[[nodiscard]] cudaError_t embed(const __nv_bfloat16* table, const int32_t* ids, int cols,
                                float* out, int bucket, const int* count, cudaStream_t stream);

// out[m] = x[i] / sqrt(mean(x[i]^2) + eps) * weight, where i = rows[m], or m if rows is null.
// cols is a multiple of 4.
[[nodiscard]] cudaError_t rms_norm(const float* x, const int* rows, const __nv_bfloat16* weight,
                                   float eps, int cols, __nv_bfloat16* out, int bucket,
                                   const int* count, cudaStream_t stream);

// table[m][i] = cos and sin of row m's position * inv_freq[i], i < head_dim / 2: a pass needs it
// once. inv_freq[i] = theta^(-2i / head_dim). A row of no span is left out.
[[nodiscard]] cudaError_t rope_table(const KvBatch& batch, const float* inv_freq, int head_dim,
                                     float2* table, int bucket, cudaStream_t stream);

// How the heads of q, k and v are finished: the projections' biases, [(heads + 2 kv_heads) *
// head_dim]; the weights of the norms of q and k, each [head_dim]; the rows' table. Null: a network
// without biases, or without norms of heads.
struct HeadWeights {
  const float* bias = nullptr;
  const __nv_bfloat16* q_norm = nullptr;
  const __nv_bfloat16* k_norm = nullptr;
  const float2* table = nullptr;
  float eps = 0;
};

// qkv: [bucket][(heads + 2 kv_heads) * head_dim], q then k then v. The bias is added; then each
// head of q and k: RMSNorm, then the rotation of halves (x1, x2) -> (x1 cos - x2 sin, x2 cos + x1
// sin). Queries go to q, [bucket][heads * head_dim]; keys and values where the spans say. A row of
// no span is left out.
[[nodiscard]] cudaError_t store_heads(const float* qkv, const Heads& heads,
                                      const HeadWeights& weights, const KvBatch& batch,
                                      __nv_bfloat16* q, int bucket, cudaStream_t stream);

}  // namespace orthrus::cuda
