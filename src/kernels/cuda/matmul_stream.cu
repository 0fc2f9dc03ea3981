// Products for up to 128 tokens at a time, bound by streaming the weights.
//
// A block multiplies 128 weight rows by all tokens over one part of K. One warp keeps a ring of
// tiles in flight; it fills the ring with weights before the previous kernel has finished, so that
// memory is busy between kernels too. Two warpgroups of 64 rows each multiply. The blocks of a
// cluster hold the parts of K: each adds up a share of the outputs, through the others' shared
// memory.
#include <algorithm>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/matmul_finish.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace orthrus::cuda {
namespace {

constexpr int kConsumers = kFinishThreads;
constexpr int kThreads = kConsumers + 32;
constexpr int kMostStages = 16;
// Two blocks, of this kernel or of this and the next, fit a multiprocessor; or one.
constexpr int kHalfRing = 108 * 1024;
constexpr int kWholeRing = 216 * 1024;
// Tiles, of `count`, that a block has still to fetch when it lets the next kernel start. Earlier,
// the next one's fetching delays this one's; later, memory idles between them. The few tiles of a
// small matrix are soon fetched.
[[maybe_unused]] __device__ constexpr int tiles_at_trigger(int count) {
  return count < 16 ? 0 : 6;
}
template <int N>
constexpr int kStageBytes = 2 * kSubtileBytes + N* kBlockK * 2;

struct Ring {
  uint64_t full[kMostStages];
  uint64_t empty[kMostStages];
};

template <int N>
__device__ void produce(const CUtensorMap& weights, const CUtensorMap& tokens, const MatmulJob& job,
                        int tile, int first_token, int first, int count, int stages, uint8_t* ring,
                        Ring& barriers) {
  const uint64_t weights_policy = evict_first_policy(), tokens_policy = evict_last_policy();
  const int row0 = first_weight_row(job, tile, 0), row1 = first_weight_row(job, tile, 1);
  const auto load_weights = [&](int i, int stage) {
    uint8_t* const to = ring + stage * kStageBytes<N>;
    barrier_expect(&barriers.full[stage], kStageBytes<N>);
    copy_box(to, &weights, (first + i) * kBlockK, row0, &barriers.full[stage], weights_policy);
    copy_box(to + kSubtileBytes, &weights, (first + i) * kBlockK, row1, &barriers.full[stage],
             weights_policy);
  };
  const auto load_tokens = [&](int i, int stage) {
    copy_box(ring + stage * kStageBytes<N> + 2 * kSubtileBytes, &tokens, (first + i) * kBlockK,
             first_token, &barriers.full[stage], tokens_policy);
  };
  const int filled = min(stages, count), at_trigger = tiles_at_trigger(count);
  if (count - filled <= at_trigger) let_successor_start();
  for (int i = 0; i < filled; ++i) load_weights(i, i);
  wait_for_predecessor();
  for (int i = 0; i < filled; ++i) load_tokens(i, i);
  for (int i = filled, stage = 0, round = 0; i < count; ++i) {
    barrier_wait(&barriers.empty[stage], round & 1);
    load_weights(i, stage);
    load_tokens(i, stage);
    if (count - 1 - i == at_trigger) let_successor_start();
    if (++stage == stages) stage = 0, ++round;
  }
}

// Multiplies and leaves the sums in `sums`, [N][kSumStride], which lies in the ring.
template <int N>
__device__ void consume(int count, int stages, uint8_t* ring, Ring& barriers, float* sums) {
  const int group = threadIdx.x / 128, lane = threadIdx.x % 32;
  const uint64_t base = tile_descriptor(shared_address(ring));
  float acc[N / 2];
  int stage = 0, round = 0;
  for (int i = 0; i < count; ++i) {
    barrier_wait(&barriers.full[stage], round & 1);
    const uint64_t tile = base + (stage * kStageBytes<N> >> 4);
    const uint64_t a = tile + (group * kSubtileBytes >> 4), b = tile + (2 * kSubtileBytes >> 4);
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < kBlockK / 16; ++k) {
      wgmma<N>(acc, a + k * kNext16, b + k * kNext16, i > 0 || k > 0);
    }
    wgmma_commit();
    // Memory is what is waited for, so a tile's place is given back as soon as can be.
    wgmma_wait<0>();
    if (lane == 0) barrier_arrive(&barriers.empty[stage]);
    if (++stage == stages) stage = 0, ++round;
  }
  named_barrier(1, kConsumers);  // nothing reads the ring any more
  const int row = threadIdx.x / 32 * 16 + lane / 4;
#pragma unroll
  for (int i = 0; i < N / 8; ++i) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      float* const to = sums + (8 * i + 2 * (lane % 4) + j) * kSumStride + row;
      to[0] = acc[4 * i + j];
      to[8] = acc[4 * i + 2 + j];
    }
  }
}

// Registers for more blocks than memory has room for: other kernels start beside it.
template <int N>
__global__ void __launch_bounds__(kThreads, N <= 32 ? 4 : 2)
    stream_kernel(const __grid_constant__ CUtensorMap weights,
                  const __grid_constant__ CUtensorMap tokens, const __grid_constant__ MatmulJob job,
                  int stages) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ uint8_t shared[];
  __shared__ Ring barriers;
  __shared__ RowPlace places[N];
  // The swizzle repeats every 1024 bytes of address.
  uint8_t* const ring = shared + (1024 - shared_address(shared) % 1024) % 1024;
  float* const sums = reinterpret_cast<float*>(ring);

  const int split = static_cast<int>(blockIdx.x) % job.splits;
  const int pair = static_cast<int>(blockIdx.x) / job.splits;
  const int tile = pair / job.token_tiles, first_token = pair % job.token_tiles * N;
  const int first = first_k_block(job, split), count = first_k_block(job, split + 1) - first;
  const int real = min(*job.count - first_token, N);

  if (threadIdx.x == kConsumers) {
    for (int i = 0; i < stages; ++i) {
      barrier_init(&barriers.full[i], 1);
      barrier_init(&barriers.empty[i], kConsumers / 32);
    }
    barrier_init_fence();
  }
  __syncthreads();
  // No token of a cluster is real: its weights needn't be read.
  if (real <= 0) {
    wait_for_predecessor();
    return;
  }
  if (threadIdx.x >= kConsumers) {
    if (threadIdx.x == kConsumers) {
      produce<N>(weights, tokens, job, tile, first_token, first, count, stages, ring, barriers);
    }
    __syncwarp();
  } else {
    if (job.epilogue == Epilogue::kHeads && threadIdx.x < N) {
      places[threadIdx.x] = place_of(job.heads.batch, first_token + threadIdx.x);
      const HeadWeights& w = job.heads.weights;
      if (threadIdx.x < 2 && w.q_norm != nullptr) {
        prefetch_line(threadIdx.x == 0 ? w.q_norm : w.k_norm);
      }
    }
    wait_for_predecessor();
    consume<N>(count, stages, ring, barriers, sums);
  }
  if (job.splits > 1) {
    cluster_sync();
  } else {
    __syncthreads();
  }
  if (threadIdx.x < kConsumers) {
    if (job.splits == 1) finish<N, 1>(job, tile, first_token, real, split, sums, places);
    if (job.splits == 2) finish<N, 2>(job, tile, first_token, real, split, sums, places);
    if (job.splits == 4) finish<N, 4>(job, tile, first_token, real, split, sums, places);
  }
  if (job.splits > 1) cluster_sync();  // others read this block's sums
#endif
}

// Few blocks need more in flight each. So do blocks that have all of K to themselves but are too
// few for two on every multiprocessor: one on each, the others as these finish, share memory best.
int ring_bytes(const MatmulJob& job, int blocks, int processors) {
  const bool alone = 2 * blocks <= processors || (job.splits == 1 && blocks < 2 * processors);
  return alone ? kWholeRing : kHalfRing;
}

template <int N>
cudaError_t launch_stream(const Tokens& x, const MatrixView& w, MatmulJob job,
                          cudaStream_t stream) {
  ProductMaps maps;
  if (const cudaError_t error = make_product_maps(x, w, N, &maps); error != cudaSuccess) {
    return error;
  }
  job.token_tiles = (x.bucket + N - 1) / N;
  int processors = 0;
  if (const cudaError_t error = count_multiprocessors(&processors); error != cudaSuccess) {
    return error;
  }
  const int blocks = job.splits * job.row_tiles * job.token_tiles;
  const int stages =
      std::clamp((ring_bytes(job, blocks, processors) - 1024) / kStageBytes<N>, 2, kMostStages);
  // The sums, and with kHeads those of a share of the tokens, lie where the ring was.
  const int sums = (N + (job.splits > 1 ? N / job.splits : 0)) * kSumStride * 4;
  const int shared = 1024 + std::max(stages * kStageBytes<N>, sums);
  return launch(stream_kernel<N>, blocks, kThreads, shared, job.splits, stream, maps.weights,
                maps.tokens, job, stages);
}

}  // namespace

cudaError_t matmul_stream(const Tokens& x, const MatrixView& w, const MatmulJob& job,
                          cudaStream_t stream) {
  if (x.bucket <= 8) return launch_stream<8>(x, w, job, stream);
  if (x.bucket <= 16) return launch_stream<16>(x, w, job, stream);
  if (x.bucket <= 32) return launch_stream<32>(x, w, job, stream);
  if (x.bucket <= 64) return launch_stream<64>(x, w, job, stream);
  return launch_stream<128>(x, w, job, stream);
}

}  // namespace orthrus::cuda
