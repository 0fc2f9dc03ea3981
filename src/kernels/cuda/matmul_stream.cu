// Products for up to 128 tokens at a time, bound by streaming the weights.
//
// A block multiplies 128 weight rows by all tokens over one part of K. One warp keeps a ring of
// tiles in flight; it fills the ring with weights before the previous kernel has finished, so that
// memory is busy between kernels too. Two warpgroups of 64 rows each multiply. The blocks of a
// cluster hold the parts of K: each adds up a share of the outputs, through the others' shared
// memory.
#include <algorithm>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/matmul_job.cuh"
#include "kernels/cuda/rope.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace orthrus::cuda {

namespace {

constexpr int kConsumers = 256;
constexpr int kThreads = kConsumers + 32;
constexpr int kTileRows = 128;
constexpr int kMostStages = 16;
// Two blocks, of this kernel or of this and the next, fit a multiprocessor; or one.
constexpr int kHalfRing = 108 * 1024;
constexpr int kWholeRing = 216 * 1024;
// Tiles that a block has still to fetch when it lets the next kernel start. Earlier, the next one's
// fetching delays this one's; later, memory idles between them.
constexpr int kTilesAtTrigger = 6;
// Of partial sums in shared memory, from token to token: other tokens, other banks.
constexpr int kSumStride = kTileRows + 4;

template <int N>
constexpr int kStageBytes = 2 * kSubtileBytes + N* kBlockK * 2;

struct Ring {
  uint64_t full[kMostStages];
  uint64_t empty[kMostStages];
};

// First weight row of half `half` of a tile: SwiGLU has 64 rows of gate and the same 64 of up.
__device__ int first_weight_row(const MatmulJob& job, int tile, int half) {
  if (job.epilogue == Epilogue::kSwiglu) return tile * kSubtileRows + half * job.out_rows;
  return tile * kTileRows + half * kSubtileRows;
}

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
  const int filled = min(stages, count);
  if (count - filled <= kTilesAtTrigger) let_successor_start();
  for (int i = 0; i < filled; ++i) load_weights(i, i);
  wait_for_predecessor();
  for (int i = 0; i < filled; ++i) load_tokens(i, i);
  for (int i = filled, stage = 0, round = 0; i < count; ++i) {
    barrier_wait(&barriers.empty[stage], round & 1);
    load_weights(i, stage);
    load_tokens(i, stage);
    if (count - 1 - i == kTilesAtTrigger) let_successor_start();
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

// `kCount` times four neighbouring outputs, at[i] in every block's sums: all parts of K, in
// ascending order. The loads, from shared memory that may be far, are all in flight together.
template <int kSplits, int kCount>
__device__ void add_parts(const float* const (&at)[kCount], float4 (&total)[kCount]) {
  if constexpr (kSplits == 1) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) total[i] = *reinterpret_cast<const float4*>(at[i]);
  } else {
    float4 part[kSplits][kCount];
#pragma unroll
    for (int split = 0; split < kSplits; ++split) {
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        part[split][i] = load_from_rank(shared_address(at[i]), static_cast<uint32_t>(split));
      }
    }
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      total[i] = part[0][i];
#pragma unroll
      for (int split = 1; split < kSplits; ++split) {
        total[i].x += part[split][i].x, total[i].y += part[split][i].y;
        total[i].z += part[split][i].z, total[i].w += part[split][i].w;
      }
    }
  }
}

// Four neighbouring numbers, or as many of them as there are rows.
template <typename T>
struct alignas(4 * sizeof(T)) Four {
  T v[4];
};

template <typename T>
__device__ T* out_at(const MatmulJob& job, int token, int row) {
  return static_cast<T*>(job.out) + token * job.out_stride + row;
}

template <typename T>
__device__ bool whole_four(const T* out, int rows) {
  return rows >= 4 && reinterpret_cast<uintptr_t>(out) % sizeof(Four<T>) == 0;
}

template <typename T>
__device__ Four<T> load_four(const T* out, int rows) {
  if (whole_four(out, rows)) return *reinterpret_cast<const Four<T>*>(out);
  Four<T> four = {};
  for (int i = 0; i < 4; ++i) {
    if (i < rows) four.v[i] = out[i];
  }
  return four;
}

template <typename T>
__device__ void store_four(T* out, int rows, const Four<T>& four) {
  if (whole_four(out, rows)) {
    *reinterpret_cast<Four<T>*>(out) = four;
    return;
  }
  for (int i = 0; i < 4; ++i) {
    if (i < rows) out[i] = four.v[i];
  }
}

// The block's share of the rows, of every token.
template <int N, int kSplits>
__device__ void finish_rows(const MatmulJob& job, int tile, int first_token, int tokens, int split,
                            const float* sums) {
  const bool gated = job.epilogue == Epilogue::kSwiglu;
  const int rows = gated ? kSubtileRows : kTileRows;
  const int quads = rows / kSplits / 4, items = tokens * quads;
  constexpr int kBatch = N <= 32 ? 1 : kSplits == 4 ? 2 : 4;
  for (int first = threadIdx.x; first < items; first += kBatch * kConsumers) {
    const float* at[kBatch];
    float4 sum[kBatch], up[kBatch];
    Four<float> old[kBatch];
    int token[kBatch], row[kBatch], left[kBatch];  // left: rows from here to the last
#pragma unroll
    for (int i = 0; i < kBatch; ++i) {
      const int item = min(first + i * kConsumers, items - 1);
      token[i] = item / quads, row[i] = split * (rows / kSplits) + item % quads * 4;
      at[i] = sums + token[i] * kSumStride + row[i];
      row[i] += tile * rows, token[i] += first_token;
      left[i] = first + i * kConsumers < items ? job.out_rows - row[i] : 0;
      if (job.epilogue == Epilogue::kAdd) {
        old[i] = load_four(out_at<float>(job, token[i], row[i]), left[i]);
      }
    }
    add_parts<kSplits>(at, sum);
    if (gated) {
#pragma unroll
      for (int i = 0; i < kBatch; ++i) at[i] += kSubtileRows;
      add_parts<kSplits>(at, up);
    }
#pragma unroll
    for (int i = 0; i < kBatch; ++i) {
      float v[4] = {sum[i].x, sum[i].y, sum[i].z, sum[i].w};
      if (gated) {
        v[0] = swiglu(v[0], up[i].x), v[1] = swiglu(v[1], up[i].y);
        v[2] = swiglu(v[2], up[i].z), v[3] = swiglu(v[3], up[i].w);
      }
      if (gated || job.epilogue == Epilogue::kStoreBf16) {
        Four<__nv_bfloat16> four;
#pragma unroll
        for (int j = 0; j < 4; ++j) four.v[j] = __float2bfloat16_rn(v[j]);
        store_four(out_at<__nv_bfloat16>(job, token[i], row[i]), left[i], four);
      } else {
        Four<float> four;
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          four.v[j] = job.epilogue == Epilogue::kAdd ? old[i].v[j] + v[j] : v[j];
        }
        store_four(out_at<float>(job, token[i], row[i]), left[i], four);
      }
    }
  }
}

// The block's share of the tokens, a warp a token.
template <int N, int kSplits>
__device__ void finish_top(const MatmulJob& job, int tile, int first_token, int tokens, int split,
                           const float* sums) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int token = split + warp * kSplits; token < tokens; token += kConsumers / 32 * kSplits) {
    const float* const at[1] = {sums + token * kSumStride + lane * 4};
    float4 sum[1];
    add_parts<kSplits>(at, sum);
    const float v[4] = {sum[0].x, sum[0].y, sum[0].z, sum[0].w};
    const int first_row = tile * kTileRows + lane * 4;
    float top = -INFINITY;
    int id = INT_MAX;
    bool finite = true;
    for (int i = 0; i < 4 && first_row + i < job.out_rows; ++i) {
      finite = finite && isfinite(v[i]);
      if (v[i] > top) top = v[i], id = first_row + i;
    }
    for (int step = 16; step > 0; step /= 2) {
      const float other = __shfl_xor_sync(~0u, top, step);
      const int other_id = __shfl_xor_sync(~0u, id, step);
      if (other > top || (other == top && other_id < id)) top = other, id = other_id;
    }
    float exponentials = 0;
    for (int i = 0; i < 4 && first_row + i < job.out_rows; ++i) exponentials += __expf(v[i] - top);
    for (int step = 16; step > 0; step /= 2) {
      exponentials += __shfl_xor_sync(~0u, exponentials, step);
    }
    finite = __all_sync(~0u, finite);
    if (lane == 0) {
      static_cast<TopPart*>(job.out)[(first_token + token) * job.out_stride + tile] = {
          top, finite ? id : -1, exponentials};
    }
  }
}

// Heads of q, k and v in the block's share of the tokens, a warp a head of a token.
template <int kSplits>
__device__ void finish_heads(const MatmulJob& job, int tile, int first_token, int tokens, int split,
                             const float* sums, const RowPlace* places) {
  const HeadsJob& to = job.heads;
  const int dim = to.heads.head_dim, half = dim / 2, tile_heads = kTileRows / dim;
  const int lane = threadIdx.x % 32;
  for (int i = threadIdx.x / 32;; i += kConsumers / 32) {
    const int token = split + i / tile_heads * kSplits, head = i % tile_heads;
    if (token >= tokens) break;
    if (tile * kTileRows + head * dim >= job.out_rows) continue;
    const RowPlace place = places[token];
    if (!place.found) continue;
    float part[kSplits][2 * kRopePairs];
#pragma unroll
    for (int s = 0; s < kSplits; ++s) {
#pragma unroll
      for (int j = 0; j < 2 * kRopePairs; ++j) {
        const int d = min(lane + j / 2 * 32, half - 1) + j % 2 * half;
        const float* const at = sums + token * kSumStride + head * dim + d;
        part[s][j] =
            kSplits == 1 ? *at : load_one_from_rank(shared_address(at), static_cast<uint32_t>(s));
      }
    }
    float low[kRopePairs], high[kRopePairs];
#pragma unroll
    for (int j = 0; j < kRopePairs; ++j) {
      low[j] = part[0][2 * j], high[j] = part[0][2 * j + 1];
#pragma unroll
      for (int s = 1; s < kSplits; ++s) low[j] += part[s][2 * j], high[j] += part[s][2 * j + 1];
      if (lane + 32 * j >= half) low[j] = high[j] = 0;
    }
    store_head(to.heads, to.rope, to.batch, place, first_token + token,
               tile * kTileRows / dim + head, low, high, to.q);
  }
}

template <int N, int kSplits>
__device__ void finish(const MatmulJob& job, int tile, int first_token, int tokens, int split,
                       const float* sums, const RowPlace* places) {
  if (job.epilogue == Epilogue::kTop) {
    finish_top<N, kSplits>(job, tile, first_token, tokens, split, sums);
  } else if (job.epilogue == Epilogue::kHeads) {
    finish_heads<kSplits>(job, tile, first_token, tokens, split, sums, places);
  } else {
    finish_rows<N, kSplits>(job, tile, first_token, tokens, split, sums);
  }
}

template <int N>
__global__ void __launch_bounds__(kThreads, N <= 32 ? 3 : 2)
    stream_kernel(const __grid_constant__ CUtensorMap weights,
                  const __grid_constant__ CUtensorMap tokens, const __grid_constant__ MatmulJob job,
                  int stages) {
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

  if (threadIdx.x == kConsumers) {
    for (int i = 0; i < stages; ++i) {
      barrier_init(&barriers.full[i], 1);
      barrier_init(&barriers.empty[i], kConsumers / 32);
    }
    barrier_init_fence();
  }
  __syncthreads();
  int real = 0;
  if (threadIdx.x >= kConsumers) {
    if (threadIdx.x == kConsumers) {
      produce<N>(weights, tokens, job, tile, first_token, first, count, stages, ring, barriers);
    }
    __syncwarp();
  } else {
    real = min(*job.count - first_token, N);
    if (job.epilogue == Epilogue::kHeads && threadIdx.x < N) {
      places[threadIdx.x] = place_of(job.heads.batch, first_token + threadIdx.x);
      if (threadIdx.x < 2) {
        prefetch_line(threadIdx.x == 0 ? job.heads.rope.q_norm : job.heads.rope.k_norm);
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
}

// Few blocks need more in flight each. So do blocks that have all of K to themselves but are too
// few for two on every multiprocessor: one on each, the others as these finish, share memory best.
int ring_bytes(const MatmulJob& job, int blocks, int processors) {
  const bool alone = 2 * blocks <= processors || (job.splits == 1 && blocks < 2 * processors);
  return alone ? kWholeRing : kHalfRing;
}

template <int N>
cudaError_t launch_stream(const Tokens& x, const Weights& w, MatmulJob job, cudaStream_t stream) {
  CUtensorMap weights, tokens;
  if (const cudaError_t error = make_tensor_map(w.data, w.rows, w.cols, static_cast<size_t>(w.cols),
                                                kSubtileRows, &weights);
      error != cudaSuccess) {
    return error;
  }
  if (const cudaError_t error = make_tensor_map(x.data, x.bucket, w.cols, x.stride, N, &tokens);
      error != cudaSuccess) {
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
  const int shared = 1024 + std::max(stages * kStageBytes<N>, N * kSumStride * 4);
  return launch(stream_kernel<N>, blocks, kThreads, shared, job.splits, stream, weights, tokens,
                job, stages);
}

}  // namespace

cudaError_t matmul_stream(const Tokens& x, const Weights& w, const MatmulJob& job,
                          cudaStream_t stream) {
  if (x.bucket <= 8) return launch_stream<8>(x, w, job, stream);
  if (x.bucket <= 16) return launch_stream<16>(x, w, job, stream);
  if (x.bucket <= 32) return launch_stream<32>(x, w, job, stream);
  if (x.bucket <= 64) return launch_stream<64>(x, w, job, stream);
  return launch_stream<128>(x, w, job, stream);
}

}  // namespace orthrus::cuda
