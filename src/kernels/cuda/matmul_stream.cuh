// Products for up to 128 tokens at a time, bound by streaming the weights.
//
// A block multiplies 128 weight rows by all tokens over one part of K, or 64 over two ("o and
// down", below), or 192 over all of it ("gate and up", below). One warp keeps a ring of tiles in
// flight; it fills the ring with weights before the previous kernel has finished, so that memory is
// busy between kernels too. Two or three warpgroups multiply 64 rows each. The blocks of a cluster
// hold the parts of K: each adds up a share of the outputs, through the others' shared memory.
//
// How the weights are stored is the parameter `Weights`:
//
//   struct Weights {
//     static constexpr int kGroups;     // warpgroups that multiply, 64 rows each: 2, or 3 (below)
//     static constexpr int kTileBytes;  // of these rows and kBlockK columns
//     static constexpr bool kWidens;    // consumers do, which takes them longer than products
//     // A power of two that sums are to be multiplied by.
//     __device__ static constexpr float sum_factor();
//     // That a multiprocessor has registers for.
//     static constexpr int most_blocks(int tokens);
//     // A block's tiles, from a k-block of its first part on. fetch() starts to copy the next.
//     class Tiles {
//       __device__ Tiles(const Weights& weights, const MatmulJob& job, int tile, int k_block);
//       __device__ void fetch(uint32_t to, uint32_t barrier, uint64_t policy);
//     };
//
//     // acc = rows of group `group` times tokens, over the `count` tiles that the ring brings.
//     // ready() is called before the first product: what else that needs is there then.
//     template <int N, typename Ready>
//     __device__ static void multiply(float (&acc)[kSums<N>], RingReader<Weights, N> ring,
//                                     int group, int count, const Ready& ready);
//   };
#pragma once

#include <algorithm>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/matmul_finish.cuh"
#include "kernels/cuda/norm_row.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace orthrus::cuda {

template <typename Weights>
inline constexpr int kConsumers = 128 * Weights::kGroups;
template <typename Weights>
inline constexpr int kStreamThreads = kConsumers<Weights> + 32;
// Three warpgroups do nothing but SwiGLU, of all of K, and no two of their blocks are to share a
// multiprocessor. Memory sees to that: they have all of it. But where weights are widened and
// tokens are few, half of it is enough, and lets one block of o or down be beside them up to 32
// tokens. There registers see to it: idle warps, as many as threads_alone (launch.h) finds. Up to
// 640 threads are enough where each has more than 51 registers.
template <typename Weights>
inline constexpr bool kGatedOnly = Weights::kGroups == 3;
template <typename Weights, int N>
inline constexpr bool kIdleWarps = (kGatedOnly<Weights> && Weights::kWidens && N <= 64);
template <typename Weights, int N>
inline constexpr int kMostStreamThreads = kIdleWarps<Weights, N> ? 640 : kStreamThreads<Weights>;
inline constexpr int kMostStages = 24;
// Two blocks, of this kernel or of this and the next, fit a multiprocessor; or one.
inline constexpr int kHalfRing = 108 * 1024;
inline constexpr int kWholeRing = 216 * 1024;
// Tiles, of `count`, that a block has still to fetch when it lets the next kernel start. Earlier,
// the next one's fetching delays this one's; later, memory idles between them. The few tiles of a
// small matrix are soon fetched. Where weights are widened, memory is not what is waited for most,
// and the next kernel may come at once.
template <typename Weights>
__device__ constexpr int tiles_at_trigger(int count) {
  if (Weights::kWidens) return count;
  return count < 16 ? 0 : 6;
}
// N is the number of tokens that a block multiplies, 8 or more as wgmma takes them; or 1. Then its
// part of the token lies beside the ring, all of it: fetched at once, or made of a row by the block
// itself. One of 8 in each stage would be as much to fetch again.
template <int N>
inline constexpr int kColumns = N < 8 ? 8 : N;
template <int N>
inline constexpr int kSums = kColumns<N> / 2;  // of a thread
// Tiles of tokens are swizzled: they lie at a multiple of 1024 bytes, behind the weights.
template <typename Weights>
inline constexpr int kTokensAt = (Weights::kTileBytes + 1023) / 1024 * 1024;
template <int N>
inline constexpr int kTokenTile = N* kBlockK * 2;
// Two parts of K have tokens each.
template <typename Weights, int N>
__host__ __device__ constexpr int stage_bytes(int own_parts) {
  return N == 1 ? Weights::kTileBytes : kTokensAt<Weights> + own_parts * kTokenTile<N>;
}

struct Ring {
  uint64_t full[kMostStages];
  uint64_t empty[kMostStages];
  uint64_t token;  // of one token that is fetched
};
inline constexpr uint32_t kBarrierBytes = sizeof(uint64_t);

// Where the one token's part lies: as rows of swizzled tiles do, a k-block a row. So the tile that
// begins with a k-block has it as its first token. Its other tokens may be anything: up to
// kTokenBehind bytes behind the last are read.
inline constexpr int kTokenBehind = 7 * kBlockK * 2;
template <typename Weights, int N>
__device__ uint8_t* token_at(const MatmulJob& job, uint8_t* ring, int stages) {
  return ring + (stages * stage_bytes<Weights, N>(job.own_parts) + 1023) / 1024 * 1024;
}
// Of a block's parts of K.
__host__ __device__ inline int most_own_k_blocks(const MatmulJob& job) {
  return (job.k_blocks + job.splits - 1) / job.splits * job.own_parts;
}

template <typename Weights, int N>
__device__ void produce(const Weights& weights, const CUtensorMap& tokens, const MatmulJob& job,
                        int tile, int first_token, int first, int count, int stages, uint8_t* ring,
                        uint8_t* token, Ring& barriers) {
  const uint64_t weights_policy = evict_first_policy(), tokens_policy = evict_last_policy();
  // A tile takes some hundred cycles from here, so nothing is found twice.
  const uint32_t ring_at = kept_address(ring), barriers_at = kept_address(&barriers);
  typename Weights::Tiles tiles(weights, job, tile, first);
  const int stage_size = stage_bytes<Weights, N>(job.own_parts);
  const auto to = [&](int stage) { return ring_at + stage * stage_size; };
  const auto full = [&](int stage) { return barriers_at + stage * kBarrierBytes; };
  const auto load_weights = [&](int stage) {
    const int of_tokens = N == 1 ? 0 : job.own_parts * kTokenTile<N>;
    barrier_expect(full(stage), Weights::kTileBytes + of_tokens);
    tiles.fetch(to(stage), full(stage), weights_policy);
  };
  const int to_second_part = k_block_of(job, 0, 1) * kBlockK;
  const auto load_tokens = [&](int i, int stage) {
    const uint32_t at = to(stage) + kTokensAt<Weights>;
    const int column = (first + i) * kBlockK;
    copy_box(at, &tokens, column, first_token, full(stage), tokens_policy);
    if (job.own_parts == 2) {
      copy_box(at + kTokenTile<N>, &tokens, column + to_second_part, first_token, full(stage),
               tokens_policy);
    }
  };
  const int filled = min(stages, count), at_trigger = tiles_at_trigger<Weights>(count);
  if (count - filled <= at_trigger) let_successor_start();
  const uint32_t start = clocks();
  // Loops of few instructions, which have to be fetched before they run.
#pragma unroll 1
  for (int i = 0; i < filled; ++i) {
    while (clocks() - start < static_cast<uint32_t>(i * job.pace)) {
    }
    load_weights(i);
  }
  if constexpr (N > 1) {
    wait_for_predecessor();
#pragma unroll 1
    for (int i = 0; i < filled; ++i) load_tokens(i, i);
  } else if (job.norm.x == nullptr) {
    wait_for_predecessor();
    const uint32_t bytes = most_own_k_blocks(job) * kBlockK * 2;
    barrier_expect(&barriers.token, bytes);
    copy_box(token, &tokens, 0, first, &barriers.token, tokens_policy);
  }
#pragma unroll 1
  for (int i = filled, stage = 0, round = 0; i < count; ++i) {
    barrier_wait(full(stage) + kMostStages * kBarrierBytes, round & 1);  // empty
    load_weights(stage);
    if constexpr (N > 1) load_tokens(i, stage);
    if (count - 1 - i == at_trigger) let_successor_start();
    if (++stage == stages) stage = 0, ++round;
  }
}

// Threads that norm a row: two warpgroups.
inline constexpr int kNormThreads = 256;
// The one token's columns of k-blocks [first, first + count), in `token`; by kNormThreads.
__device__ inline void make_token(const MatmulJob& job, int first, int count, uint8_t* token) {
  using Row = NormRow<kNormThreads, kMostOwnNormCols>;
  __shared__ float sums[kNormWarps];
  constexpr int kBlockQuads = kBlockK / 4;
  const int first_quad = first * kBlockQuads, quads = count * kBlockQuads;
  const size_t which = job.norm.row == nullptr ? 0 : static_cast<size_t>(*job.norm.row);
  uint2 w[Row::kQuads];
#pragma unroll
  for (int i = 0; i < Row::kQuads; ++i) {
    const int quad = Row::quad(i), in_part = quad - first_quad;
    w[i] = in_part >= 0 && in_part < quads && quad < job.cols / 4
               ? reinterpret_cast<const uint2*>(job.norm.weight)[quad]
               : uint2{};
  }
  wait_for_predecessor();
  Row row;
  row.load(job.norm.x + which * job.cols, job.cols);
  const float scale =
      row.scale(job.cols, job.norm.eps, sums, [] { named_barrier(1, kNormThreads); });
#pragma unroll
  for (int i = 0; i < Row::kQuads; ++i) {
    const int in_part = Row::quad(i) - first_quad;
    if (in_part < 0 || in_part >= quads) continue;
    const int block = in_part / kBlockQuads, chunk = in_part % kBlockQuads / 2;
    uint8_t* const at = token + block * kBlockK * 2 + (chunk ^ block % 8) * 16 + in_part % 2 * 8;
    *reinterpret_cast<uint2*>(at) = row.normed(i, scale, w[i]);
  }
  shared_writes_fence();
}

// Tiles of the ring, one behind the other, for a thread that multiplies.
template <typename Weights, int N>
class RingReader {
 public:
  // For group `group` of the block, which has `count` tiles. `token`: token_at.
  __device__ RingReader(const MatmulJob& job, int group, int count, uint8_t* ring,
                        const uint8_t* token, Ring& barriers, int stages)
      : ring_(ring),
        first_(lower_descriptor(shared_address(ring))),
        barriers_(barriers),
        stages_(stages),
        stage_size_(stage_bytes<Weights, N>(job.own_parts)) {
    const int part = job.own_parts == 2 ? group : 0;
    token_ = lower_descriptor(shared_address(token + part * count * kBlockK * 2));
    in_stage_ = static_cast<uint32_t>(kTokensAt<Weights> + part * kTokenTile<N>) >> 4;
  }

  // Waits for the tile. What is asked about a tile is asked until next().
  __device__ void wait() const { barrier_wait(&barriers_.full[stage_], parity_); }
  __device__ const uint8_t* weights() const { return ring_ + stage_ * stage_size_; }
  // Lower halves of descriptors.
  __device__ uint32_t weights_at() const {
    return first_ + static_cast<uint32_t>(stage_ * stage_size_ >> 4);
  }
  __device__ uint32_t tokens_at() const { return N == 1 ? token_ : weights_at() + in_stage_; }
  __device__ int stage() const { return stage_; }
  __device__ void next() {
    if (++stage_ == stages_) stage_ = 0, parity_ ^= 1;
    token_ += kBlockK * 2 >> 4;
  }
  // Gives a tile's place back: its reads are complete.
  __device__ void give_back(int stage) const {
    if (threadIdx.x % 32 == 0) barrier_arrive(&barriers_.empty[stage]);
  }

 private:
  uint8_t* ring_;
  uint32_t first_;
  uint32_t token_, in_stage_;  // where one token is; where more are
  Ring& barriers_;
  int stages_, stage_size_, stage_ = 0;
  uint32_t parity_ = 0;
};

// A thread's sums as `sums`, [N][kSumStride], which lies in the ring.
template <typename Weights, int N>
__device__ void keep_sums(const MatmulJob& job, const float (&acc)[kSums<N>], float* sums) {
  const int lane = threadIdx.x % 32;
  const auto [upper, lower] = sum_places(job, static_cast<int>(threadIdx.x) / 32 * 16 + lane / 4);
#pragma unroll
  for (int i = 0; i < kColumns<N> / 8; ++i) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int token = 8 * i + 2 * (lane % 4) + j;
      if (N < 8 && token >= N) continue;
      float* const to = sums + token * kSumStride;
      to[upper] = acc[4 * i + j] * Weights::sum_factor();
      to[lower] = acc[4 * i + 2 + j] * Weights::sum_factor();
    }
  }
}

// SwiGLU's outputs of a thread's sums, which are of all of K: it has gate and up of them.
template <typename Weights, int N>
__device__ void store_gated(const MatmulJob& job, int tile, int first_token, int tokens,
                            const float (&acc)[kSums<N>]) {
  const int lane = threadIdx.x % 32, row = threadIdx.x / 32 * 16 + lane / 4;
  const int output = output_of(tile * Weights::kGroups * kSubtileRows + row);
  if (output >= job.out_rows) return;
#pragma unroll
  for (int i = 0; i < kColumns<N> / 8; ++i) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int token = 8 * i + 2 * (lane % 4) + j;
      if (token >= tokens) continue;
      const float gate = acc[4 * i + j] * Weights::sum_factor(),
                  up = acc[4 * i + 2 + j] * Weights::sum_factor();
      *out_at<__nv_bfloat16>(job, first_token + token, output) =
          __float2bfloat16_rn(swiglu(gate, up));
    }
  }
}

// Registers for more blocks than memory has room for: other kernels start beside it.
template <typename Weights, int N>
__global__ void __launch_bounds__((kMostStreamThreads<Weights, N>), Weights::most_blocks(N))
    stream_kernel(const __grid_constant__ Weights weights,
                  const __grid_constant__ CUtensorMap tokens, const __grid_constant__ MatmulJob job,
                  int stages) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ uint8_t shared[];
  __shared__ Ring barriers;
  __shared__ RowPlace places[N];
  // The swizzle repeats every 1024 bytes of address.
  uint8_t* const ring = shared + (1024 - shared_address(shared) % 1024) % 1024;
  float* const sums = reinterpret_cast<float*>(ring);
  uint8_t* const token = token_at<Weights, N>(job, ring, stages);

  const int split = static_cast<int>(blockIdx.x), first_token = static_cast<int>(blockIdx.y) * N;
  const int tile = static_cast<int>(blockIdx.z);
  const int first_part = split * job.own_parts, first = first_k_block(job, first_part);
  const int count = first_k_block(job, first_part + 1) - first;
  const int real = min(*job.count - first_token, N);
  constexpr int kMultiply = kConsumers<Weights>;
  static_assert(kNormThreads <= kMultiply && (kGatedOnly<Weights> || kFinishThreads == kMultiply));

  if (threadIdx.x == kMultiply) {
    for (int i = 0; i < stages; ++i) {
      barrier_init(&barriers.full[i], 1);
      barrier_init(&barriers.empty[i], kMultiply / 32);
    }
    if constexpr (N == 1) barrier_init(&barriers.token, 1);
    barrier_init_fence();
  }
  __syncthreads();
  // No token of a cluster is real: its weights needn't be read.
  if (real <= 0) {
    wait_for_predecessor();
    return;
  }
  if (warp_index() >= kMultiply / 32) {
    if (threadIdx.x == kMultiply) {
      produce<Weights, N>(weights, tokens, job, tile, first_token, first, count, stages, ring,
                          token, barriers);
    }
    __syncwarp();
  } else {
    if (!kGatedOnly<Weights> && job.epilogue == Epilogue::kHeads) {
      const int thread = static_cast<int>(threadIdx.x);
      if (thread < N) places[thread] = place_of(job.heads.batch, first_token + thread);
      const HeadWeights& w = job.heads.weights;
      if (thread < 2 && w.q_norm != nullptr) prefetch_line(thread == 0 ? w.q_norm : w.k_norm);
    }
    float acc[kSums<N>];
    const int group = warp_index() / 4;
    const RingReader<Weights, N> reader(job, group, count, ring, token, barriers, stages);
    Weights::template multiply<N>(acc, reader, group, count, [&] {
      if constexpr (N == 1) {
        if (job.norm.x != nullptr) {
          if (threadIdx.x < kNormThreads) make_token(job, first, count * job.own_parts, token);
          named_barrier(2, kMultiply);  // those who didn't wait for the predecessor wait here
          return;
        }
      }
      wait_for_predecessor();
      if constexpr (N == 1) barrier_wait(&barriers.token, 0);
    });
    if constexpr (kGatedOnly<Weights>) {
      store_gated<Weights, N>(job, tile, first_token, real, acc);
    } else {
      named_barrier(1, kMultiply);  // nothing reads the ring any more
      keep_sums<Weights, N>(job, acc, sums);
    }
  }
  if constexpr (kGatedOnly<Weights>) {
    // A warp that ends gives its registers back. So the idle ones stay as long as the others.
    __syncthreads();
    return;
  }
  if (job.splits > 1) {
    cluster_sync_shared();
  } else {
    __syncthreads();
  }
  if (threadIdx.x < kMultiply) {
    finish<N>(job, tile, first_token, real, split, job.splits, sums, places);
  }
  if (job.splits > 1) cluster_leave();  // others read this block's sums
#endif
}

// Few blocks need more in flight each. So do blocks that have all of K to themselves but are too
// few for two on every multiprocessor: one on each, the others as these finish, share memory best.
// Where weights are widened, two have more warps for that.
inline int ring_bytes(const MatmulJob& job, int blocks, int processors, bool widens) {
  const bool alone =
      2 * blocks <= processors || (!widens && job.splits == 1 && blocks < 2 * processors);
  return alone ? kWholeRing : kHalfRing;
}

// Clocks from one tile of a ring to the next, while it is first filled: a quarter faster than
// memory is. Asked for at once, the tiles would be in front of what other kernels load: queries,
// keys and values, parts, a norm's row.
inline int pace_of(int tile_bytes, int rings) {
  return static_cast<int>(tile_bytes * rings / (1.25 * memory_bytes_a_clock()));
}

// o and down: of 8B they have nearly as many blocks as there are multiprocessors. Started while
// others run, two of them would come to share a multiprocessor here and there, others would have
// nothing to do, and all wait for those two. A block that takes a little more than half of a
// multiprocessor's memory shares it with one of the next product and with none of its own. But not
// all clusters of four find room so (of an H200's 132 multiprocessors, 30 for 8B's 32); those of
// two do. So a block has two parts of K, of half as many rows, and clusters are half as large.
//
// `shared`: the memory it then takes; otherwise 0.
template <int N, typename Weights>
cudaError_t spread_out(MatmulJob* job, int processors, int* shared) {
  *shared = 0;
  // Between two products that add there is always another. With more tokens, too few of a ring's
  // bytes would be weights.
  if (job->epilogue != Epilogue::kAdd || N > 64) return cudaSuccess;
  const int own_k_blocks = job->k_blocks / 2;
  if (job->splits != 4 || job->k_blocks % 4 != 0) return cudaSuccess;
  if (N == 1 && own_k_blocks > kMostBoxRows) return cudaSuccess;
  const int tiles = (job->out_rows + kSubtileRows - 1) / kSubtileRows, blocks = 2 * tiles;
  if (2 * blocks <= processors || blocks > processors) return cudaSuccess;
  const auto kernel = stream_kernel<Weights, N>;
  int bytes = 0, clusters = 0;
  cudaError_t error = more_than_half(kernel, &bytes);
  if (error == cudaSuccess) {
    error = count_clusters(kernel, blocks, kStreamThreads<Weights>, bytes, 2, &clusters);
  }
  if (error != cudaSuccess || clusters < tiles) return error;
  job->own_parts = 2, job->row_tiles = tiles;
  *shared = bytes;
  return cudaSuccess;
}

template <int N, typename Weights>
cudaError_t launch_stream_of(const Tokens& x, const Weights& weights, MatmulJob job,
                             cudaStream_t stream) {
  if (kGatedOnly<Weights> && (job.epilogue != Epilogue::kSwiglu || job.splits != 1)) {
    return cudaErrorInvalidValue;
  }
  job.token_tiles = (x.bucket + N - 1) / N;
  int processors = 0, spread_bytes = 0;
  cudaError_t error = count_multiprocessors(&processors);
  if (error == cudaSuccess) error = spread_out<N, Weights>(&job, processors, &spread_bytes);
  if (error != cudaSuccess) return error;
  const int own_k_blocks = most_own_k_blocks(job), cluster = job.splits / job.own_parts;
  CUtensorMap tokens = {};
  if (job.norm.x == nullptr) {
    error = N == 1 ? make_tensor_map(x.data, job.k_blocks, kBlockK, kBlockK, own_k_blocks, &tokens)
                   : make_tokens_map(x, job.cols, N, &tokens);
    if (error != cudaSuccess) return error;
  }
  const int blocks = cluster * job.row_tiles * job.token_tiles;
  // Where there are several tiles of tokens, most blocks' weights are in the L2 cache.
  if (job.token_tiles == 1) {
    job.pace = pace_of(Weights::kTileBytes, std::min(blocks, processors));
  }
  const bool alone = kGatedOnly<Weights> && !kIdleWarps<Weights, N>;
  const int ring = alone ? kWholeRing : ring_bytes(job, blocks, processors, Weights::kWidens);
  const int stage = stage_bytes<Weights, N>(job.own_parts);
  // With one token its part, and what the ring is rounded up by.
  const int token = N == 1 ? own_k_blocks * kBlockK * 2 + kTokenBehind + 1024 : 0;
  const int stages = std::clamp((ring - 1024 - token) / stage, 2, kMostStages);
  // The sums, and with kHeads those of a share of the tokens, lie where the ring was.
  const int sums = (N + (job.splits > 1 ? (N + job.splits - 1) / job.splits : 0)) * kSumStride * 4;
  // Where stages are small the ring needs less than it may have: more blocks on a multiprocessor
  // would leave others idle.
  const int shared = std::max({ring, spread_bytes, 1024 + stages * stage + token, 1024 + sums});
  const dim3 grid(static_cast<unsigned>(cluster), static_cast<unsigned>(job.token_tiles),
                  static_cast<unsigned>(job.row_tiles));
  int threads = kStreamThreads<Weights>;
  if constexpr (kIdleWarps<Weights, N>) {
    error = threads_alone(stream_kernel<Weights, N>, kMostStreamThreads<Weights, N>, &threads);
    if (error != cudaSuccess) return error;
  }
  return launch(stream_kernel<Weights, N>, grid, threads, shared, cluster, stream, weights, tokens,
                job, stages);
}

template <typename Weights>
cudaError_t launch_bucket(const Tokens& x, const Weights& weights, const MatmulJob& job,
                          cudaStream_t stream) {
  // The one token's part of K is one box, if it is whole k-blocks.
  const bool box = job.cols % kBlockK == 0 && most_own_k_blocks(job) <= kMostBoxRows;
  if (x.bucket == 1 && (job.norm.x != nullptr || box)) {
    return launch_stream_of<1>(x, weights, job, stream);
  }
  if (x.bucket <= 8) return launch_stream_of<8>(x, weights, job, stream);
  if (x.bucket <= 16) return launch_stream_of<16>(x, weights, job, stream);
  if (x.bucket <= 32) return launch_stream_of<32>(x, weights, job, stream);
  if (x.bucket <= 64) return launch_stream_of<64>(x, weights, job, stream);
  return launch_stream_of<128>(x, weights, job, stream);
}

// gate and up: of 8B they have half as many blocks again as there are multiprocessors. Where two
// blocks share one, they take longer, and all others wait for them. Blocks of three warpgroups are
// few enough to have a multiprocessor each. But if these would leave more than a quarter of the
// multiprocessors idle, as those of 1.5B do, smaller blocks are faster for few tokens: for one, and
// for up to 8 where weights are widened.
template <typename Two, typename Three>
cudaError_t launch_stream(const Tokens& x, const Two& two, const Three& three, MatmulJob job,
                          cudaStream_t stream) {
  const bool gated = job.epilogue == Epilogue::kSwiglu && job.splits == 1;
  if (!gated || x.bucket > kMostStreamed) return launch_bucket(x, two, job, stream);
  int processors = 0;
  if (const cudaError_t error = count_multiprocessors(&processors); error != cudaSuccess) {
    return error;
  }
  constexpr int kRows = Three::kGroups * kSubtileRows, kFew = Three::kWidens ? 8 : 1;
  const int tiles = (2 * job.out_rows + kRows - 1) / kRows;
  const bool one_each = job.row_tiles > processors && tiles <= processors;
  const bool smaller = x.bucket <= kFew && 4 * tiles < 3 * processors;
  if (!one_each || smaller) return launch_bucket(x, two, job, stream);
  job.row_tiles = tiles;
  return launch_bucket(x, three, job, stream);
}

}  // namespace orthrus::cuda
