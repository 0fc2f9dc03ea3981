// Products on devices that have no wgmma: plain, and meant to be right rather than fast.
//
// A block multiplies 128 weight rows by 32 tokens, a warp 16 of the rows, with operands straight
// from device memory. Parts of K are added up one after the other, in the same order for any number
// of tokens.
#include <type_traits>

#include "kernels/cuda/block_forms.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/matmul_finish.cuh"

namespace orthrus::cuda {
namespace {

constexpr int kTokens = 32;

// Elements k and k + 1 of a row, where the row and they exist; k is even, and so is `cols`.
__device__ uint32_t load_pair(const __nv_bfloat16* row, bool exists, int k, int cols) {
  return exists && k < cols ? *reinterpret_cast<const uint32_t*>(row + k) : 0;
}

// A lane's operands of 16 rows and kBlockK columns, by step of 16.
using SubtileOperands = uint32_t[kBlockK / 16][4];

// Where weights come from.
struct Bf16Rows {
  __device__ static constexpr float sum_factor() { return 1; }

  MatrixView w;

  __device__ void operands(const MatmulJob&, int tile, int k_block, SubtileOperands& a) const {
    // This thread's rows, 8 apart.
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    const int row = tile * kTileRows + warp * 16 + lane / 4, pair = lane % 4 * 2;
    const __nv_bfloat16* const upper =
        static_cast<const __nv_bfloat16*>(w.data) + static_cast<size_t>(row) * w.cols;
    const __nv_bfloat16* const lower = upper + static_cast<size_t>(8) * w.cols;
#pragma unroll
    for (int step = 0; step < kBlockK / 16; ++step) {
      const int k = k_block * kBlockK + step * 16 + pair;
      a[step][0] = load_pair(upper, row < w.rows, k, w.cols);
      a[step][1] = load_pair(lower, row + 8 < w.rows, k, w.cols);
      a[step][2] = load_pair(upper, row < w.rows, k + 8, w.cols);
      a[step][3] = load_pair(lower, row + 8 < w.rows, k + 8, w.cols);
    }
  }
};

template <typename Form>
struct BlockRows {
  __device__ static constexpr float sum_factor() { return kSumFactor; }

  MatrixView w;

  __device__ void operands(const MatmulJob& job, int tile, int k_block, SubtileOperands& a) const {
    const int group = row_group_of(job, tile, static_cast<int>(threadIdx.x) / 128);
    const size_t subtile = static_cast<size_t>(group) * job.k_blocks + k_block;
    const auto* const at = static_cast<const uint8_t*>(w.data) + subtile * Form::kBytes;
    widen_steps<Form>(Form::load(at), a);
  }
};

template <typename Weights>
__global__ void __launch_bounds__(kFinishThreads)
    simple_kernel(Tokens x, Weights weights, const __grid_constant__ MatmulJob job) {
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
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int row = warp * 16 + lane / 4, pair = lane % 4 * 2;

  float total[kTokens / 8][4] = {};
  for (int split = 0; split < job.splits; ++split) {
    float part[kTokens / 8][4] = {};
    const int end = first_k_block(job, split + 1);
    for (int block = first_k_block(job, split); block < end; ++block) {
      SubtileOperands a;
      weights.operands(job, tile, block, a);
#pragma unroll
      for (int step = 0; step < kBlockK / 16; ++step) {
        const int k = block * kBlockK + step * 16 + pair;
#pragma unroll
        for (int i = 0; i < kTokens / 8; ++i) {
          const int token = 8 * i + lane / 4;
          const __nv_bfloat16* const from =
              x.data + static_cast<size_t>(first_token + token) * x.stride;
          multiply_add(part[i], a[step], load_pair(from, token < real, k, weights.w.cols),
                       load_pair(from, token < real, k + 8, weights.w.cols));
        }
      }
    }
#pragma unroll
    for (int i = 0; i < kTokens / 8; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) total[i][j] = split == 0 ? part[i][j] : total[i][j] + part[i][j];
    }
  }
  const auto [upper, lower] = sum_places(job, row);
#pragma unroll
  for (int i = 0; i < kTokens / 8; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      sums[(8 * i + pair + j % 2) * kSumStride + (j < 2 ? upper : lower)] =
          total[i][j] * Weights::sum_factor();
    }
  }
  __syncthreads();
  finish<kTokens>(job, tile, first_token, real, 0, 1, sums, places);
}

}  // namespace

cudaError_t matmul_simple(const Tokens& x, const MatrixView& w, MatmulJob job,
                          cudaStream_t stream) {
  job.token_tiles = (x.bucket + kTokens - 1) / kTokens;
  const auto run = [&](const auto& weights) {
    return launch(simple_kernel<std::decay_t<decltype(weights)>>, job.row_tiles * job.token_tiles,
                  kFinishThreads, 0, 1, stream, x, weights, job);
  };
  switch (w.form) {
    case WeightForm::kBf16:
      return run(Bf16Rows{w});
    case WeightForm::kQ8:
      return run(BlockRows<Q8Form>{w});
    case WeightForm::kQ6:
      return run(BlockRows<Q6Form>{w});
    case WeightForm::kQ5:
      return run(BlockRows<Q5Form>{w});
    case WeightForm::kQ4:
      return run(BlockRows<Q4Form>{w});
  }
  return cudaErrorInvalidValue;
}

}  // namespace orthrus::cuda
