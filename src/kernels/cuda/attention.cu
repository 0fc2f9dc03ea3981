#include <algorithm>
#include <type_traits>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_plan.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/span_of_row.cuh"

namespace orthrus::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kConsumers = kWarps * 32;
constexpr int kThreads = kConsumers + 32;
// Up to so many heads of queries are merged with a lane a dimension where there are more splits
// than these: for few, and for more of them.
constexpr int kFewPairs = 256, kMostPairs = 1024;
constexpr int kFewSplits = 16, kSomeSplits = 64;

// A block has three regions of shared memory, and two blocks fit a multiprocessor: queries and,
// where they are few, what the warps exchange; a ring of tiles; and the sums over splits or, where
// splits are computed apart, one more tile of the ring.
template <int D>
struct Layout {
  static constexpr int kQueryBytes = kBlockRows * D * 2;
  static constexpr int kTileBytes = tile_elements(D) * 2;
  static constexpr int kStages = 3;  // 2 where there are sums
  static constexpr int kRing = kQueryBytes < 8192 ? 8192 : kQueryBytes;
  static constexpr int kSums = kRing + (kStages - 1) * kTileBytes;  // [kBlockRows][D] float
  static constexpr int kBarriers = kSums + kTileBytes;              // full, then empty
  static constexpr int kBytes = kBarriers + 64;
  static_assert(kTileBytes == kBlockRows * D * static_cast<int>(sizeof(float)));
};

// What the warps exchange where rows are few.
struct Exchange {
  float tops[kWarps][kFewRows];
  float sums[kWarps][kFewRows];
  uint4 weights[kWarps][32];  // by group of 16 keys and lane: its fragment
};

__device__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// A row's largest score (times log2 e) and sum of exponentials so far, -infinity and 0 before.
struct Sum {
  float top = -INFINITY;
  float total = 0;
};

// What was summed and what is added, each times its factor, once `sum` has taken `part` in.
struct Factors {
  float old, added;
};

__device__ Factors merge(Sum& sum, const Sum& part) {
  if (part.top == -INFINITY) return {1, 0};  // of keys that the row doesn't see
  const float top = fmaxf(sum.top, part.top);
  const Factors f = {exp2_fast(sum.top - top), exp2_fast(part.top - top)};
  sum.total = __fmaf_rn(sum.total, f.old, __fmul_rn(part.total, f.added));
  sum.top = top;
  return f;
}

__device__ float merge_value(float old, float added, const Factors& f) {
  return __fmaf_rn(old, f.old, __fmul_rn(added, f.added));
}

__device__ float quad_max(float v) {
  v = fmaxf(v, __shfl_xor_sync(~0u, v, 1));
  return fmaxf(v, __shfl_xor_sync(~0u, v, 2));
}

__device__ float quad_sum(float v) {
  v += __shfl_xor_sync(~0u, v, 1);
  return v + __shfl_xor_sync(~0u, v, 2);
}

// Where this lane reads row `row` of a tile, its chunk 0 or, if `odd`, 1. Chunks 2 k and 2 k + 1
// lie at the address ^ 32 k: rows lie at multiples of their length.
template <int D>
__device__ uint32_t lane_address(uint32_t tile, int row, int odd) {
  constexpr int kMask = D / 8 < 8 ? D / 8 - 1 : 7;
  return tile + static_cast<uint32_t>(row * D * 2 + ((odd ^ (row & kMask)) << 4));
}

// Scores of 16 rows at `queries` and 16 G keys, in ascending dimension.
template <int D, int G>
__device__ void score(float (&s)[2 * G][4], uint32_t queries, uint32_t keys) {
  const int lane = threadIdx.x % 32, in_matrix = lane % 8, matrix = lane / 8;
#pragma unroll
  for (int i = 0; i < 2 * G; ++i) s[i][0] = s[i][1] = s[i][2] = s[i][3] = 0;
  queries = lane_address<D>(queries, matrix % 2 * 8 + in_matrix, matrix / 2);
  keys = lane_address<D>(keys, matrix / 2 * 8 + in_matrix, matrix % 2);
#pragma unroll
  for (int k = 0; k < D / 16; ++k) {
    uint32_t a[4];
    load_matrices(a, queries ^ (32 * k));
#pragma unroll
    for (int g = 0; g < G; ++g) {
      uint32_t b[4];
      load_matrices(b, (keys ^ (32 * k)) + g * 16 * D * 2);
      multiply_add(s[2 * g], a, b[0], b[1]);
      multiply_add(s[2 * g + 1], a, b[2], b[3]);
    }
  }
}

// Scores of keys that row r (0 or 1) of a thread doesn't see, which may be anything, to -infinity.
template <int G>
__device__ void hide(float (&s)[2 * G][4], int r, int first_key, int visible) {
  if (__all_sync(~0u, visible - first_key >= 16 * G)) return;
  const int keys = visible - first_key - static_cast<int>(threadIdx.x) % 4 * 2;
#pragma unroll
  for (int i = 0; i < 2 * G; ++i) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      if (8 * i + j >= keys) s[i][2 * r + j] = -INFINITY;
    }
  }
}

// The largest of a thread's scores in row r.
template <int G>
__device__ float largest(const float (&s)[2 * G][4], int r) {
  float top = -INFINITY;
#pragma unroll
  for (int i = 0; i < 2 * G; ++i) top = fmaxf(top, fmaxf(s[i][2 * r], s[i][2 * r + 1]));
  return top;
}

// Takes a tile's largest score into the sum. What was summed is to be multiplied by the result.
__device__ float raise_top(Sum& sum, float top) {
  const float before = sum.top;
  sum.top = fmaxf(before, top);
  return sum.top == -INFINITY ? 1 : exp2_fast(before - sum.top);
}

// Scores of a group of 16 keys to exp2(score * scale - top). Returns the thread's sum of row r.
__device__ float exponentials(float (&a)[4], float (&b)[4], int r, float scale, float top) {
  const float base = top == -INFINITY ? 0 : top;
#pragma unroll
  for (int j = 2 * r; j < 2 * r + 2; ++j) {
    a[j] = exp2_fast(__fmaf_rn(a[j], scale, -base));
    b[j] = exp2_fast(__fmaf_rn(b[j], scale, -base));
  }
  return (a[2 * r] + a[2 * r + 1]) + (b[2 * r] + b[2 * r + 1]);
}

// 16 rows' weights of a group of 16 keys, as the matrix product takes them.
__device__ void pack_weights(uint32_t (&w)[4], const float (&a)[4], const float (&b)[4]) {
  w[0] = pack_bf16(a[0], a[1]), w[1] = pack_bf16(a[2], a[3]);
  w[2] = pack_bf16(b[0], b[1]), w[3] = pack_bf16(b[2], b[3]);
}

// sums[i] += weights times values of 8 dimensions each, from first_dim on, over 64 keys in
// ascending order. If kPartial, values of keys from `stored` on may be anything, and count as zero.
template <int D, int N, bool kPartial>
__device__ void add_weighed(float (&sums)[N][4], const uint32_t (&weights)[4][4], uint32_t values,
                            int first_dim, int stored) {
  static_assert(N % 2 == 0);
  const int lane = threadIdx.x % 32, in_matrix = lane % 8, matrix = lane / 8;
  values = lane_address<D>(values, matrix % 2 * 8 + in_matrix, matrix / 2);
#pragma unroll
  for (int g = 0; g < 4; ++g) {
    const int left = stored - g * 16 - lane % 4 * 2;  // of this lane's keys 0 and 1; 8 and 9
    const uint32_t mask0 = left >= 2 ? ~0u : left == 1 ? 0xFFFFu : 0;
    const uint32_t mask1 = left >= 10 ? ~0u : left == 9 ? 0xFFFFu : 0;
#pragma unroll
    for (int i = 0; i < N; i += 2) {
      uint32_t b[4];
      load_matrices_transposed(b, (values ^ (2 * first_dim + 16 * i)) + g * 16 * D * 2);
      if (kPartial) b[0] &= mask0, b[1] &= mask1, b[2] &= mask0, b[3] &= mask1;
      multiply_add(sums[i], weights[g], b[0], b[1]);
      multiply_add(sums[i + 1], weights[g], b[2], b[3]);
    }
  }
}

// sums[i] = factor of the row * sums[i] + weights times values.
template <int D, int N>
__device__ void weigh(float (&sums)[N][4], const float (&factor)[2],
                      const uint32_t (&weights)[4][4], uint32_t values, int first_dim, int stored) {
  if (__any_sync(~0u, factor[0] != 1 || factor[1] != 1)) {
#pragma unroll
    for (int i = 0; i < N; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) sums[i][j] = __fmul_rn(sums[i][j], factor[j / 2]);
    }
  }
  if (stored >= kTilePositions) {
    add_weighed<D, N, false>(sums, weights, values, first_dim, stored);
  } else {
    add_weighed<D, N, true>(sums, weights, values, first_dim, stored);
  }
}

// Where the keys end that each of a thread's two rows sees, and those that are stored at all: from
// the start of the cache or of the block. Not held to a tile's 64, since ptxas 13.0 takes
// max(0, min(n, 64)) == 64 for n == 64.
struct Visible {
  int row[2];
  int stored;

  // From key `first` on.
  __device__ Visible from(int first) const {
    return {{row[0] - first, row[1] - first}, stored - first};
  }
};

__device__ Visible visible_keys(const AttentionItem& item, bool block, int group, int first_row) {
  const KvSpan& span = item.span;
  if (span.has_block()) {
    const int end = block ? span.rows : span.first_position;
    return {{end, end}, end};
  }
  const int row = first_row + static_cast<int>(threadIdx.x) % 32 / 4;
  return {{span.first_position + row / group + 1, span.first_position + (row + 8) / group + 1},
          span.first_position + span.rows};
}

// The tiles that all warps read, in the order in which the producer fetches them.
template <int D>
struct Ring {
  uint32_t tiles;
  uint64_t *full, *empty;
  int stages;
  int stage = 0, round = 0;

  __device__ uint32_t wait() {
    barrier_wait(&full[stage], round & 1);
    return after_barrier(tiles + stage * Layout<D>::kTileBytes);
  }
  __device__ void release() {
    __syncwarp();
    if (threadIdx.x % 32 == 0) barrier_arrive(&empty[stage]);
    next();
  }
  __device__ void next() {
    if (++stage == stages) stage = 0, ++round;
  }
};

// Where a row's output or part goes.
template <int D>
struct Output {
  const AttentionJob& job;
  const AttentionItem& item;

  __device__ int group() const { return job.heads.heads / job.heads.kv_heads; }
  __device__ __nv_bfloat16* out(int row) const {
    const int r = item.first_row + row, head = item.kv_head * group() + r % group();
    const size_t token = item.span.first_row + r / group();
    return job.out + (token * job.heads.heads + head) * D;
  }
  __device__ size_t part(int split, int row) const {
    const size_t at = (out(row) - job.out) / D;
    return static_cast<size_t>(split) * job.part_rows * job.heads.heads + at;
  }
};

// Adding nothing to a sum may turn -0 into 0, so that no result is left as -0.
__device__ float finished(float sum, float total) {
  return sum / total + 0.0f;
}

__device__ uint32_t finished(float a, float b, float total) {
  return pack_bf16(finished(a, total), finished(b, total));
}

// At most 16 rows: the warps share a tile, each computing the scores of 16 keys and then a quarter
// of the dimensions.
template <int D>
__device__ void attend_few(const Output<D>& to, Ring<D>& ring, uint32_t queries, Exchange& exchange,
                           float scale, bool apart) {
  constexpr int N = D / 8 / kWarps;
  const AttentionItem& item = to.item;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, first_dim = warp * N * 8;
  Sum total[2];
  float total_values[N][4] = {};
  for (int split = item.first_split; split < item.last_split; ++split) {
    const SplitTiles tiles = tiles_of_split(item, split);
    const Visible ends = visible_keys(item, tiles.block, to.group(), item.first_row);
    Sum sum[2];
    float values[N][4] = {};
    for (int t = 0; t < tiles.count; ++t) {
      const Visible visible = ends.from((tiles.first + t) * kTilePositions);
      const uint32_t tile = ring.wait();
      float s[2][4];
      score<D, 1>(s, queries, tile + warp * 16 * D * 2);
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        hide<1>(s, r, warp * 16, visible.row[r]);
        const float top = quad_max(largest<1>(s, r));
        if (lane % 4 == 0) exchange.tops[warp][lane / 4 + 8 * r] = __fmul_rn(top, scale);
      }
      named_barrier(1, kConsumers);
      float factor[2];
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        float top = -INFINITY;
        for (int w = 0; w < kWarps; ++w) top = fmaxf(top, exchange.tops[w][lane / 4 + 8 * r]);
        factor[r] = raise_top(sum[r], top);
        const float group_sum = quad_sum(exponentials(s[0], s[1], r, scale, sum[r].top));
        if (lane % 4 == 0) exchange.sums[warp][lane / 4 + 8 * r] = group_sum;
      }
      uint32_t w[4];
      pack_weights(w, s[0], s[1]);
      exchange.weights[warp][lane] = make_uint4(w[0], w[1], w[2], w[3]);
      named_barrier(1, kConsumers);
      uint32_t weights[4][4];
#pragma unroll
      for (int g = 0; g < 4; ++g) {
        const uint4 of_group = exchange.weights[g][lane];
        weights[g][0] = of_group.x, weights[g][1] = of_group.y;
        weights[g][2] = of_group.z, weights[g][3] = of_group.w;
      }
      weigh<D, N>(values, factor, weights, tile + kTilePositions * D * 2, first_dim,
                  visible.stored);
      before_barrier(values);
      ring.release();
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const int row = lane / 4 + 8 * r;
        const float added =
            ((exchange.sums[0][row] + exchange.sums[1][row]) + exchange.sums[2][row]) +
            exchange.sums[3][row];
        sum[r].total = __fmaf_rn(sum[r].total, factor[r], added);
      }
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int row = lane / 4 + 8 * r;
      if (apart) {
        if (row >= item.rows) continue;
        const size_t part = to.part(split, row);
        if (warp == 0 && lane % 4 == 0) to.job.part_tops[part] = {sum[r].top, sum[r].total};
        float2* const at =
            reinterpret_cast<float2*>(to.job.part_values + part * D + first_dim + lane % 4 * 2);
#pragma unroll
        for (int i = 0; i < N; ++i) at[4 * i] = {values[i][2 * r], values[i][2 * r + 1]};
        continue;
      }
      const Factors f = merge(total[r], sum[r]);
#pragma unroll
      for (int i = 0; i < N; ++i) {
        total_values[i][2 * r] = merge_value(total_values[i][2 * r], values[i][2 * r], f);
        total_values[i][2 * r + 1] =
            merge_value(total_values[i][2 * r + 1], values[i][2 * r + 1], f);
      }
    }
  }
  if (apart) return;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int row = lane / 4 + 8 * r;
    if (row >= item.rows) continue;
    uint32_t* const at = reinterpret_cast<uint32_t*>(to.out(row) + first_dim + lane % 4 * 2);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      at[4 * i] = finished(total_values[i][2 * r], total_values[i][2 * r + 1], total[r].total);
    }
  }
}

// Many rows: a warp computes 16 of them, over whole tiles.
template <int D>
__device__ void attend_many(const Output<D>& to, Ring<D>& ring, uint32_t queries, float* sums,
                            float scale, bool apart) {
  constexpr int N = D / 8;
  const AttentionItem& item = to.item;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const bool idle = warp * 16 >= item.rows;
  // A thread's own corner of the sums over splits: every float2 has a column of its own.
  float2* const total_values = reinterpret_cast<float2*>(sums) + threadIdx.x;
  queries += warp * 16 * D * 2;
  Sum total[2];
  for (int split = item.first_split; split < item.last_split; ++split) {
    const SplitTiles tiles = tiles_of_split(item, split);
    const Visible ends = visible_keys(item, tiles.block, to.group(), item.first_row + warp * 16);
    Sum sum[2];
    float values[N][4] = {};
    for (int t = 0; t < tiles.count; ++t) {
      const uint32_t tile = ring.wait();
      if (idle) {
        ring.release();
        continue;
      }
      const Visible visible = ends.from((tiles.first + t) * kTilePositions);
      float s[8][4];
      score<D, 4>(s, queries, tile);
      float factor[2];
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        hide<4>(s, r, 0, visible.row[r]);
        factor[r] = raise_top(sum[r], __fmul_rn(quad_max(largest<4>(s, r)), scale));
        float group_sum[4];
#pragma unroll
        for (int g = 0; g < 4; ++g) {
          group_sum[g] = quad_sum(exponentials(s[2 * g], s[2 * g + 1], r, scale, sum[r].top));
        }
        sum[r].total = __fmaf_rn(sum[r].total, factor[r],
                                 ((group_sum[0] + group_sum[1]) + group_sum[2]) + group_sum[3]);
      }
      uint32_t weights[4][4];
#pragma unroll
      for (int g = 0; g < 4; ++g) pack_weights(weights[g], s[2 * g], s[2 * g + 1]);
      weigh<D, N>(values, factor, weights, tile + kTilePositions * D * 2, 0, visible.stored);
      before_barrier(values);
      ring.release();
    }
    if (idle) continue;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int row = warp * 16 + lane / 4 + 8 * r;
      if (apart) {
        if (row >= item.rows) continue;
        const size_t part = to.part(split, row);
        if (lane % 4 == 0) to.job.part_tops[part] = {sum[r].top, sum[r].total};
        float2* const at = reinterpret_cast<float2*>(to.job.part_values + part * D + lane % 4 * 2);
#pragma unroll
        for (int i = 0; i < N; ++i) at[4 * i] = {values[i][2 * r], values[i][2 * r + 1]};
        continue;
      }
      const bool last = split + 1 == item.last_split;
      const Factors f = merge(total[r], sum[r]);
      uint32_t* const at = reinterpret_cast<uint32_t*>(to.out(row) + lane % 4 * 2);
#pragma unroll
      for (int i = 0; i < N; ++i) {
        float2& old = total_values[(2 * i + r) * kConsumers];
        const float2 before = split == item.first_split ? float2{} : old;
        const float2 v = {merge_value(before.x, values[i][2 * r], f),
                          merge_value(before.y, values[i][2 * r + 1], f)};
        if (!last) {
          old = v;
        } else if (row < item.rows) {
          at[4 * i] = finished(v.x, v.y, total[r].total);
        }
      }
    }
  }
}

// kRows of them, all of a thread's loads in flight together.
template <int D, int kRows>
__device__ void load_queries(const Output<D>& to, uint8_t* queries) {
  constexpr int kChunks = D / 8, kStep = kConsumers / kChunks, kLoads = (kRows - 1) / kStep + 1;
  const int chunk = static_cast<int>(threadIdx.x) % kChunks;
  const int first = static_cast<int>(threadIdx.x) / kChunks;
  const int rows = to.item.rows, group = to.group(), r = to.item.first_row + first;
  // A query lies as its output does; rows are counted up here, division being slow.
  const __nv_bfloat16* const from = to.job.q + (to.out(0) - to.job.out);
  int token = r / group - to.item.first_row / group, head = r % group - to.item.first_row % group;
  const int heads = to.job.heads.heads, step = kStep / group, rest = kStep - step * group;
  const int most = group - to.item.first_row % group;
  uint4 v[kLoads];
#pragma unroll
  for (int i = 0; i < kLoads; ++i) {
    const int offset = (token * heads + head) * D;
    v[i] =
        first + i * kStep < rows ? reinterpret_cast<const uint4*>(from + offset)[chunk] : uint4{};
    token += step, head += rest;
    if (head >= most) head -= group, ++token;
  }
#pragma unroll
  for (int i = 0; i < kLoads; ++i) {
    const int row = first + i * kStep;
    if (row >= kRows) break;
    *reinterpret_cast<uint4*>(queries + 2 * tile_offset(row, chunk * 8, D)) = v[i];
  }
}

// A tile into shared memory, by a warp.
template <int D>
__device__ void fetch(uint8_t* to, const __nv_bfloat16* from, uint64_t* full) {
  const int lane = threadIdx.x % 32;
#if __CUDA_ARCH__ >= 900
  if (lane == 0) {
    barrier_expect(full, Layout<D>::kTileBytes);
    copy_bytes(to, from, Layout<D>::kTileBytes, full);
  }
#else
  for (int i = lane; i < Layout<D>::kTileBytes / 16; i += 32) {
    reinterpret_cast<uint4*>(to)[i] = reinterpret_cast<const uint4*>(from)[i];
  }
  __syncwarp();
  if (lane == 0) barrier_arrive(full);
#endif
}

template <int D>
__device__ void produce(const AttentionJob& job, const AttentionItem& item, uint8_t* tiles,
                        Ring<D>& ring) {
  const KvSpan& span = item.span;
  for (int split = item.first_split; split < item.last_split; ++split) {
    const SplitTiles from = tiles_of_split(item, split);
    for (int t = from.first; t < from.first + from.count; ++t) {
      const KvPages& pages = from.block ? job.batch.block : job.batch.cache;
      const int page =
          from.block ? span.first_block_page + t : job.batch.page_table[span.first_page + t];
      if (ring.round > 0) barrier_wait(&ring.empty[ring.stage], (ring.round - 1) & 1);
      // Tiles of earlier passes are there already; others are being stored.
      if (from.block || (t + 1) * kTilePositions > span.first_position) wait_for_predecessor();
      fetch<D>(tiles + ring.stage * Layout<D>::kTileBytes,
               pages.data + page * pages.page_stride +
                   static_cast<size_t>(item.kv_head) * tile_elements(D),
               &ring.full[ring.stage]);
      ring.next();
    }
  }
}

template <int D>
__global__ void __launch_bounds__(kThreads, 2)
    attention_kernel(const __grid_constant__ AttentionJob job) {
  // All shared memory is in one piece, which so begins at a multiple of a tile's longest row.
  extern __shared__ __align__(256) uint8_t shared[];
  uint64_t* const full = reinterpret_cast<uint64_t*>(shared + Layout<D>::kBarriers);
  uint64_t* const empty = full + Layout<D>::kStages;
  constexpr bool kFewSupported = D / 8 / kWarps >= 2;
  if (threadIdx.x == 0) {
    for (int i = 0; i < Layout<D>::kStages; ++i) {
      barrier_init(&full[i], 1);
      barrier_init(&empty[i], kWarps);
    }
    barrier_init_fence();
  }
  __syncthreads();
  let_successor_start();
  const AttentionPlan plan = plan_of(job, kFewSupported);
  const float scale = 1.4426950408889634f / sqrtf(static_cast<float>(D));
  uint8_t* const tiles = shared + Layout<D>::kRing;
  Ring<D> ring{shared_address(tiles), full, empty,
               plan.apart ? Layout<D>::kStages : Layout<D>::kStages - 1};
  AttentionItem item;
  for (int i = static_cast<int>(blockIdx.x); find_item(job, plan, i, item);
       i += static_cast<int>(gridDim.x)) {
    if (threadIdx.x >= kConsumers) {
      produce<D>(job, item, tiles, ring);
      continue;
    }
    wait_for_predecessor();
    const Output<D> to{job, item};
    named_barrier(1, kConsumers);  // the queries before are done with
    if (item.rows <= kFewRows) {
      load_queries<D, kFewRows>(to, shared);
    } else {
      load_queries<D, kBlockRows>(to, shared);
    }
    named_barrier(1, kConsumers);
    const uint32_t queries = after_barrier(shared_address(shared));
    if constexpr (kFewSupported) {
      if (item.rows <= kFewRows) {
        Exchange& exchange = *reinterpret_cast<Exchange*>(shared + kFewRows * D * 2);
        attend_few(to, ring, queries, exchange, scale, plan.apart);
        continue;
      }
    }
    attend_many(to, ring, queries, reinterpret_cast<float*>(shared + Layout<D>::kSums), scale,
                plan.apart);
  }
  wait_for_predecessor();  // also where there was nothing to do: whoever waits for this block
}

// Merges the splits of a query and head, in ascending order, kBatch being loaded together. A lane
// has kDims of the dimensions, and finds the factors of every 32nd split: the largest score up to a
// split is the same whichever way it is found, so that only sums are one chain.
template <int D, int kDims, int kBatch>
__global__ void __launch_bounds__(kConsumers)
    merge_kernel(const __grid_constant__ AttentionJob job) {
  constexpr int kSlices = D <= 32 * kDims ? 1 : D / (32 * kDims), kTops = (kBatch + 31) / 32;
  // Of each split: the factor of what was summed, that of what is added, the exponentials added.
  __shared__ float4 shared[kWarps][kTops * 32];
  float4* const factors = shared[threadIdx.x / 32];
  const int warp = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32, pair = warp / kSlices;
  const int first_dim = (warp % kSlices * 32 + lane) * kDims, row = pair / job.heads.heads;
  let_successor_start();
  const AttentionPlan plan = plan_of(job, false);
  int splits = 0;
  if (const KvSpan span = span_of_row(job.batch, row); plan.apart && span.rows > 0) {
    splits = span.has_block()
                 ? splits_of(tiles_of(span.first_position)) + splits_of(tiles_of(span.rows))
                 : splits_of(tiles_of(span.first_position + row - span.first_row + 1));
  }
  wait_for_predecessor();
  if (splits == 0) return;
  const bool has_dims = first_dim < D;
  const size_t stride = static_cast<size_t>(job.part_rows) * job.heads.heads;
  const float2* const tops = job.part_tops + pair;
  const float* const values = job.part_values + static_cast<size_t>(pair) * D + first_dim;
  using Vector = std::conditional_t<kDims == 4, float4, float>;
  float top = -INFINITY, total = 0, v[kDims] = {};
  for (int first = 0; first < splits; first += kBatch) {
    float2 part[kTops];
    alignas(sizeof(Vector)) float value[kBatch][kDims];
#pragma unroll
    for (int i = 0; i < kTops; ++i) {
      const int j = i * 32 + lane;
      part[i] =
          j < kBatch && first + j < splits ? tops[(first + j) * stride] : float2{-INFINITY, 0};
    }
    const float* from = values + first * stride * D;
#pragma unroll
    for (int j = 0; j < kBatch; ++j, from += stride * D) {
      *reinterpret_cast<Vector*>(value[j]) =
          first + j < splits && has_dims ? *reinterpret_cast<const Vector*>(from) : Vector{};
    }
#pragma unroll
    for (int i = 0; i < kTops; ++i) {
      // What `merge` does for one split after the other.
      float largest = part[i].x;
#pragma unroll
      for (int step = 1; step < 32; step *= 2) {
        const float other = __shfl_up_sync(~0u, largest, step);
        if (lane >= step) largest = fmaxf(largest, other);
      }
      largest = fmaxf(largest, top);
      const float below = __shfl_up_sync(~0u, largest, 1), before = lane == 0 ? top : below;
      const bool seen = part[i].x != -INFINITY;
      const float added = seen ? exp2_fast(part[i].x - largest) : 0;
      factors[i * 32 + lane] = {seen ? exp2_fast(before - largest) : 1, added,
                                __fmul_rn(part[i].y, added), 0};
      top = __shfl_sync(~0u, largest, 31);
    }
    __syncwarp();
#pragma unroll
    for (int j = 0; j < kBatch; ++j) {
      if (j % 8 == 0 && first + j >= splits) break;
      const float4 f = factors[j];
      total = __fmaf_rn(total, f.x, f.z);
#pragma unroll
      for (int d = 0; d < kDims; ++d) v[d] = merge_value(v[d], value[j][d], {f.x, f.y});
    }
    __syncwarp();
  }
  if (!has_dims) return;
  __nv_bfloat16* const out = job.out + static_cast<size_t>(pair) * D + first_dim;
  if constexpr (kDims == 4) {
    *reinterpret_cast<uint2*>(out) =
        make_uint2(finished(v[0], v[1], total), finished(v[2], v[3], total));
  } else {
    *out = __float2bfloat16_rn(finished(v[0], total));
  }
}

int most_splits(int positions) {
  // The cache's and the block's, neither of which need end with a split.
  return (positions + kSplitTiles * kTilePositions - 1) / (kSplitTiles * kTilePositions) + 2;
}

template <int D>
cudaError_t launch_attention(const AttentionJob& job, int blocks, int splits, cudaStream_t stream) {
  if (const cudaError_t error =
          launch(attention_kernel<D>, blocks, kThreads, Layout<D>::kBytes, 1, stream, job);
      error != cudaSuccess) {
    return error;
  }
  // Where a few rows have many splits, latency counts: more warps with more loads in flight each.
  const int pairs = job.part_rows * job.heads.heads;
  const bool narrow =
      pairs <= kMostPairs && splits > (pairs <= kFewPairs ? kFewSplits : kSomeSplits);
  const int warps = narrow && D > 32 ? pairs * (D / 32) : pairs;
  return launch(narrow ? merge_kernel<D, 1, 64> : merge_kernel<D, 4, 8>,
                (warps + kWarps - 1) / kWarps, kConsumers, 0, 1, stream, job);
}

}  // namespace

size_t attention_workspace_bytes(const Heads& heads, int bucket, int positions) {
  const size_t parts = static_cast<size_t>(most_splits(positions)) *
                       std::min(bucket, kMostRowsApart) * static_cast<size_t>(heads.heads);
  return parts * (sizeof(float2) + static_cast<size_t>(heads.head_dim) * sizeof(float));
}

cudaError_t attention(const __nv_bfloat16* q, const Heads& heads, const KvBatch& batch,
                      __nv_bfloat16* out, void* workspace, int bucket, int positions,
                      cudaStream_t stream) {
  AttentionJob job = {};
  job.heads = heads;
  job.batch = batch;
  job.q = q;
  job.out = out;
  job.part_rows = std::min(bucket, kMostRowsApart);
  // In multiples of 16 bytes: the values of a part are.
  job.part_values = static_cast<float*>(workspace);
  job.part_tops = reinterpret_cast<float2*>(
      job.part_values + static_cast<size_t>(most_splits(positions)) * job.part_rows *
                            static_cast<size_t>(heads.heads) * heads.head_dim);
  // Two blocks fit a multiprocessor; each takes items until there are none.
  int processors = 0;
  if (const cudaError_t error = count_multiprocessors(&processors); error != cudaSuccess) {
    return error;
  }
  const int blocks = 2 * processors;
  switch (heads.head_dim) {
    case 16:
      return launch_attention<16>(job, blocks, most_splits(positions), stream);
    case 32:
      return launch_attention<32>(job, blocks, most_splits(positions), stream);
    case 64:
      return launch_attention<64>(job, blocks, most_splits(positions), stream);
    case 128:
      return launch_attention<128>(job, blocks, most_splits(positions), stream);
    default:
      return cudaErrorInvalidValue;
  }
}

}  // namespace orthrus::cuda
