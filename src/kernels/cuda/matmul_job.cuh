// What the kernels of the matrix products are told, and share.
#pragma once

#include <cuda.h>
#include <cuda_runtime.h>

#include "kernels/cuda/matmul.h"
#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/tensor_map.h"

namespace orthrus::cuda {

// Tokens that are multiplied while weights are streamed once.
inline constexpr int kMostStreamed = 128;
// Parts of K, at most: larger clusters wait too long for room.
inline constexpr int kMostSplits = 4;

enum class Epilogue : int { kStore, kAdd, kSwiglu, kTop, kHeads };

// The largest logit among a tile's rows.
struct TopPart {
  float logit;
  int32_t id;  // -1 when one of them is not finite
  float sum;   // of exp(logit - the largest)
};

// For kHeads: what becomes of the heads of q, k and v.
struct HeadsJob {
  int first;  // of the job, of q's, k's and v's in this order
  Heads heads;
  HeadWeights weights;
  KvBatch batch;
  __nv_bfloat16* q;
};

struct MatmulJob {
  int out_rows;  // of an output: weight rows, or half as many for SwiGLU
  int k_blocks;  // of kBlockK
  int splits;    // parts of K: a power of two
  // Of these, a block's: one, of all rows of a tile; or two, of 64 rows, a warpgroup each.
  int own_parts;
  int row_tiles, token_tiles;
  int pace;  // clocks from one tile of a ring to the next, while it is filled for the first time
  Epilogue epilogue;
  void* out;  // float; for kSwiglu __nv_bfloat16; for kTop TopPart, [bucket][row_tiles]
  size_t out_stride;
  const int* count;
  HeadsJob heads;
  int cols;      // of a row of weights
  OwnNorm norm;  // if it has an x, the one token is made of it
};

// BF16 rows of weights that one wgmma multiplies, and kBlockK columns of them.
inline constexpr int kSubtileBytes = kSubtileRows * kBlockK * 2;
static_assert(kSubtileCols == kBlockK);

// Of a power of two, such as the number of parts of K. Divisions are long.
__device__ inline int log2_of(int power) {
  return __ffs(power) - 1;
}

// The k-blocks [first, last) of a part of K.
__device__ inline int first_k_block(const MatmulJob& job, int split) {
  return job.k_blocks * split >> log2_of(job.splits);
}
// Which k-block half `half` of a tile has, where the block's first part has `k_block`.
__device__ inline int k_block_of(const MatmulJob& job, int k_block, int half) {
  return job.own_parts == 2 && half == 1 ? k_block + first_k_block(job, 1) : k_block;
}

__device__ inline float swiglu(float gate, float up) {
  return gate / (1.0f + __expf(-gate)) * up;
}

// Which kSubtileRows rows of the matrix are piece `piece` of a tile of `pieces`: two parts of K
// have the same.
__device__ inline int row_group_of(const MatmulJob& job, int tile, int piece, int pieces = 2) {
  return job.own_parts == 2 ? tile : tile * pieces + piece;
}
// Of which output a row of gate is, among those of gate and up. That of up is 8 below: a thread has
// both.
static_assert(kGatedRows == 8);
__device__ inline int output_of(int gate_row) {
  return gate_row / (2 * kGatedRows) * kGatedRows + gate_row % kGatedRows;
}

// For boxes of kSubtileRows rows of a BF16 matrix, and of some tokens.
[[nodiscard]] inline cudaError_t make_weights_map(const MatrixView& w, CUtensorMap* map) {
  return make_tensor_map(static_cast<const __nv_bfloat16*>(w.data), w.rows, w.cols,
                         static_cast<size_t>(w.cols), kSubtileRows, map);
}
[[nodiscard]] inline cudaError_t make_tokens_map(const Tokens& x, int cols, int box_tokens,
                                                 CUtensorMap* map) {
  return make_tensor_map(x.data, x.bucket, cols, x.stride, box_tokens, map);
}

// All but matmul_simple need has_wgmma() (kernels/cuda/device_features.h). Those of blocks take
// matrices in subtiles, the others BF16, and matmul_simple both.
cudaError_t matmul_stream(const Tokens& x, const MatrixView& w, const MatmulJob& job,
                          cudaStream_t stream);
cudaError_t matmul_stream_blocks(const Tokens& x, const MatrixView& w, const MatmulJob& job,
                                 cudaStream_t stream);
cudaError_t matmul_simple(const Tokens& x, const MatrixView& w, MatmulJob job, cudaStream_t stream);
cudaError_t matmul_prefill(const Tokens& x, const MatrixView& w, const MatmulJob& job,
                           cudaStream_t stream);

}  // namespace orthrus::cuda
