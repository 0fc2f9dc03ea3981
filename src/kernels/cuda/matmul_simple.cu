// Products on devices that have no wgmma: plain, and meant to be right rather than fast.
//
// A block multiplies 128 weight rows by 32 tokens, a warp 16 of the rows, with operands straight
// from device memory. Parts of K are added up one after the other, in the same order for any number
// of tokens.
#include "kernels/cuda/launch.h"
#include "kernels/cuda/matmul_finish.cuh"

namespace orthrus::cuda {
namespace {

constexpr int kTokens = 32;

// Elements k and k + 1 of a row, where the row and they exist; k is even, and so is `cols`.
__device__ uint32_t load_pair(const __nv_bfloat16* row, bool exists, int k, int cols) {
  return exists && k < cols ? *reinterpret_cast<const uint32_t*>(row + k) : 0;
}

__global__ void __launch_bounds__(kFinishThreads)
    simple_kernel(Tokens x, MatrixView w, const __grid_constant__ MatmulJob job) {
  __shared__ alignas(16) float sums[kTokens * kSumStride];
  __shared__ RowPlace places[kTokens];
  let_successor_start();
  wait_for_predecessor();
  const int tile = static_cast<int>(blockIdx.x) / job.token_tiles;
  const int first_token = static_cast<int>(blockIdx.x) % job.token_tiles * kTokens;
  const int real = min(*job.count - first_token, kTokens);
  if (real <= 0) return;
  if (job.epilogue == Epilogue::kHeads && threadIdx.x < kTokens) {
    places[threadIdx.x] = place_of(job.heads.batch, first_token + static_cast<int>(threadIdx.x));
  }
  // The tile's rows of this thread, 8 apart, and the weights' rows that they are.
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int row = warp * 16 + lane / 4, pair = lane % 4 * 2;
  const int weight_row = first_weight_row(job, tile, row / kSubtileRows) + row % kSubtileRows;
  const __nv_bfloat16* const low = w.data + static_cast<size_t>(weight_row) * w.cols;
  const __nv_bfloat16* const high = low + static_cast<size_t>(8) * w.cols;

  float total[kTokens / 8][4] = {};
  for (int split = 0; split < job.splits; ++split) {
    float part[kTokens / 8][4] = {};
    const int end = first_k_block(job, split + 1) * kBlockK;
    for (int k = first_k_block(job, split) * kBlockK + pair; k < end; k += 16) {
      const uint32_t a[4] = {load_pair(low, weight_row < w.rows, k, w.cols),
                             load_pair(high, weight_row + 8 < w.rows, k, w.cols),
                             load_pair(low, weight_row < w.rows, k + 8, w.cols),
                             load_pair(high, weight_row + 8 < w.rows, k + 8, w.cols)};
#pragma unroll
      for (int i = 0; i < kTokens / 8; ++i) {
        const int token = 8 * i + lane / 4;
        const __nv_bfloat16* const from =
            x.data + static_cast<size_t>(first_token + token) * x.stride;
        multiply_add(part[i], a, load_pair(from, token < real, k, w.cols),
                     load_pair(from, token < real, k + 8, w.cols));
      }
    }
#pragma unroll
    for (int i = 0; i < kTokens / 8; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) total[i][j] = split == 0 ? part[i][j] : total[i][j] + part[i][j];
    }
  }
#pragma unroll
  for (int i = 0; i < kTokens / 8; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      sums[(8 * i + pair + j % 2) * kSumStride + row + j / 2 * 8] = total[i][j];
    }
  }
  __syncthreads();
  finish<kTokens, 1>(job, tile, first_token, real, 0, sums, places);
}

}  // namespace

cudaError_t matmul_simple(const Tokens& x, const MatrixView& w, MatmulJob job,
                          cudaStream_t stream) {
  job.token_tiles = (x.bucket + kTokens - 1) / kTokens;
  return launch(simple_kernel, job.row_tiles * job.token_tiles, kFinishThreads, 0, 1, stream, x, w,
                job);
}

}  // namespace orthrus::cuda
