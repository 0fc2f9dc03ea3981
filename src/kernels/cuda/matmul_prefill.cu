// Products for many tokens, bound by arithmetic.
//
// A block multiplies 128 tokens by 128 weight rows, adding up the parts of K in registers, or by
// 256 weight rows where K is not split. One warp keeps a ring of tiles in flight for the two
// warpgroups that multiply. Which blocks run side by side is chosen so that they share tiles in the
// L2 cache: a group of token tiles for one row tile after the other.
#include "kernels/cuda/launch.h"
#include "kernels/cuda/matmul_job.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace orthrus::cuda {
namespace {

constexpr int kConsumers = 256;
constexpr int kThreads = kConsumers + 32;
constexpr int kTokens = 128;
constexpr int kTokenBytes = kTokens * kBlockK * 2;
[[maybe_unused]] constexpr int kTokenTileGroup = 16;

// S subtiles of 64 rows a warpgroup.
template <int S>
constexpr int kStageBytes = 2 * S* kSubtileBytes + kTokenBytes;
template <int S>
constexpr int kStages = S == 1 ? 6 : 4;
template <int S>
constexpr int kSharedBytes = 1024 + kStages<S>* kStageBytes<S>;

// First weight row of a warpgroup's subtile.
template <int S>
__device__ int first_weight_row(int tile, int group, int subtile) {
  return ((tile * 2 + group) * S + subtile) * kSubtileRows;
}

[[maybe_unused]] __device__ void store(const MatmulJob& job, int token, int row, float value) {
  const size_t at = token * job.out_stride + row;
  if (job.epilogue == Epilogue::kStore) {
    static_cast<float*>(job.out)[at] = value;
  } else if (job.epilogue == Epilogue::kAdd) {
    static_cast<float*>(job.out)[at] += value;
  } else {
    static_cast<__nv_bfloat16*>(job.out)[at] = __float2bfloat16_rn(value);
  }
}

template <int S>
__device__ void finish(const MatmulJob& job, int tile, int first_token, int group,
                       const float (&acc)[S][kTokens / 2]) {
  const bool gated = job.epilogue == Epilogue::kSwiglu;
  const int count = *job.count, lane = threadIdx.x % 32;
  const int row_in_subtile = threadIdx.x % 128 / 32 * 16 + lane / 4;
#pragma unroll
  for (int s = 0; s < S; ++s) {
    if (gated && s > 0) continue;
    const int first_row =
        (gated ? (tile * 2 + group) * kSubtileRows : first_weight_row<S>(tile, group, s)) +
        row_in_subtile;
#pragma unroll
    for (int i = 0; i < kTokens / 2; ++i) {
      const int token = first_token + i / 4 * 8 + lane % 4 * 2 + i % 2;
      const int row = first_row + i % 4 / 2 * 8;
      if (token >= count || row >= job.out_rows) continue;
      store(job, token, row, gated ? swiglu(acc[s][i], acc[S - 1][i]) : acc[s][i]);
    }
  }
}

template <int S>
__global__ void __launch_bounds__(kThreads, 1)
    prefill_kernel(const __grid_constant__ CUtensorMap weights,
                   const __grid_constant__ CUtensorMap tokens, const MatmulJob job) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ uint8_t shared[];
  __shared__ uint64_t full[kStages<S>], empty[kStages<S>];
  // The swizzle repeats every 1024 bytes of address.
  uint8_t* const ring = shared + (1024 - shared_address(shared) % 1024) % 1024;

  const int block = static_cast<int>(blockIdx.x), in_group = kTokenTileGroup * job.row_tiles;
  const int first_tile = block / in_group * kTokenTileGroup;
  const int group_tiles = min(kTokenTileGroup, job.token_tiles - first_tile);
  const int tile = block % in_group / group_tiles;
  const int first_token = (first_tile + block % in_group % group_tiles) * kTokens;

  if (threadIdx.x == kConsumers) {
    for (int i = 0; i < kStages<S>; ++i) {
      barrier_init(&full[i], 1);
      barrier_init(&empty[i], kConsumers / 32);
    }
    barrier_init_fence();
  }
  __syncthreads();
  let_successor_start();
  wait_for_predecessor();
  if (first_token >= *job.count) return;

  const int warp = warp_index();
  if (warp >= kConsumers / 32) {
    if (threadIdx.x > kConsumers) return;
    const uint64_t policy = evict_last_policy();
    for (int i = 0, stage = 0, round = 0; i < job.k_blocks; ++i) {
      if (round > 0) barrier_wait(&empty[stage], (round - 1) & 1);
      uint8_t* to = ring + stage * kStageBytes<S>;
      barrier_expect(&full[stage], kStageBytes<S>);
      for (int part = 0; part < 2 * S; ++part, to += kSubtileBytes) {
        copy_box(to, &weights, i * kBlockK, first_weight_row<S>(tile, part / S, part % S),
                 &full[stage], policy);
      }
      copy_box(to, &tokens, i * kBlockK, first_token, &full[stage], policy);
      if (++stage == kStages<S>) stage = 0, ++round;
    }
    return;
  }

  const int group = warp / 4, lane = threadIdx.x % 32;
  // SwiGLU: two subtiles have 8 rows of gate and 8 of up in turn. All 64 of gate are multiplied as
  // one, and all of up.
  const bool gated = job.epilogue == Epilogue::kSwiglu;
  const uint64_t base_a =
      tile_descriptor(shared_address(ring), gated ? 2 * kRowGroupBytes : kRowGroupBytes);
  const uint64_t base = tile_descriptor(shared_address(ring));
  const int next_subtile = (gated ? kRowGroupBytes : kSubtileBytes) >> 4;
  float acc[S][kTokens / 2];
  float total[1][S == 1 ? kTokens / 2 : 1];
  int stage = 0, round = 0;
  for (int split = 0; split < job.splits; ++split) {
    const int count = first_k_block(job, split + 1) - first_k_block(job, split);
    for (int i = 0; i < count; ++i) {
      barrier_wait(&full[stage], round & 1);
      const uint64_t a = base_a + ((stage * kStageBytes<S> + group * S * kSubtileBytes) >> 4);
      const uint64_t b = base + ((stage * kStageBytes<S> + 2 * S * kSubtileBytes) >> 4);
      wgmma_fence();
#pragma unroll
      for (int k = 0; k < kBlockK / 16; ++k) {
#pragma unroll
        for (int s = 0; s < S; ++s) {
          wgmma<kTokens>(acc[s], a + s * next_subtile + k * kNext16, b + k * kNext16,
                         i > 0 || k > 0);
        }
      }
      wgmma_commit();
      if (i > 0) {
        wgmma_wait<1>();
        if (lane == 0) barrier_arrive(&empty[stage == 0 ? kStages<S> - 1 : stage - 1]);
      }
      if (++stage == kStages<S>) stage = 0, ++round;
    }
    wgmma_wait<0>();
    if (lane == 0) barrier_arrive(&empty[stage == 0 ? kStages<S> - 1 : stage - 1]);
    if constexpr (S == 1) {
#pragma unroll
      for (int i = 0; i < kTokens / 2; ++i) {
        total[0][i] = split == 0 ? acc[0][i] : total[0][i] + acc[0][i];
      }
    }
  }
  if constexpr (S == 1) {
    finish<1>(job, tile, first_token, group, total);
  } else {
    finish<S>(job, tile, first_token, group, acc);
  }
#endif
}

template <int S>
cudaError_t launch_prefill(const Tokens& x, const MatrixView& w, MatmulJob job,
                           cudaStream_t stream) {
  CUtensorMap weights, tokens;
  cudaError_t error = make_weights_map(w, &weights);
  if (error == cudaSuccess) error = make_tokens_map(x, w.cols, kTokens, &tokens);
  if (error != cudaSuccess) return error;
  constexpr int kRows = 2 * S * kSubtileRows;
  job.row_tiles = (w.rows + kRows - 1) / kRows;
  job.token_tiles = (x.bucket + kTokens - 1) / kTokens;
  return launch(prefill_kernel<S>, job.row_tiles * job.token_tiles, kThreads, kSharedBytes<S>, 1,
                stream, weights, tokens, job);
}

}  // namespace

cudaError_t matmul_prefill(const Tokens& x, const MatrixView& w, const MatmulJob& job,
                           cudaStream_t stream) {
  if (job.splits == 1) return launch_prefill<2>(x, w, job, stream);
  return launch_prefill<1>(x, w, job, stream);
}

}  // namespace orthrus::cuda
