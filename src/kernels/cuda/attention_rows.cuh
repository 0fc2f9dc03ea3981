// How the warps of a block attend with the rows of an item, few or many.
#pragma once

#include "kernels/cuda/attention_job.h"
#include "kernels/cuda/attention_tile.cuh"

namespace orthrus::cuda {

inline constexpr int kWarps = 4;
inline constexpr int kAttentionConsumers = kWarps * 32;

template <int D>
inline constexpr int kTileBytes = tile_elements(D) * 2;

// Whether warps can share the dimensions of few rows.
__host__ __device__ constexpr bool few_supported(int head_dim) {
  return head_dim / 8 / kWarps >= 2;
}

// A block has three regions of shared memory, and two blocks fit a multiprocessor: queries and,
// where they are few, what the warps exchange; a ring of tiles; and the sums over splits or, where
// splits are computed apart, one more tile of the ring.
template <int D>
struct Layout {
  static constexpr int kQueryBytes = kBlockRows * D * 2;
  static constexpr int kTileBytes = cuda::kTileBytes<D>;
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

// In the cache, or in the block.
__device__ inline int stored_keys(const KvSpan& span, bool block) {
  if (block) return span.rows;
  return span.first_position + (span.has_block() ? 0 : span.rows);
}

__device__ inline Visible visible_keys(const AttentionItem& item, bool block, int group,
                                       int first_row) {
  const KvSpan& span = item.span;
  const int stored = stored_keys(span, block);
  if (span.has_block()) return {{stored, stored}, stored};
  const int row = first_row + static_cast<int>(threadIdx.x) % 32 / 4;
  return {{span.first_position + row / group + 1, span.first_position + (row + 8) / group + 1},
          stored};
}

// The tiles, or halves of tiles, that all warps read, in the order in which the producer fetches
// them.
template <int kBytes>
struct TileRing {
  uint32_t tiles;
  uint64_t *full, *empty;
  int stages;
  int stage = 0, round = 0;

  // For the producer: until there is room.
  __device__ void wait_empty() const {
    if (round > 0) barrier_wait(&empty[stage], (round - 1) & 1);
  }

  __device__ uint32_t wait() {
    barrier_wait(&full[stage], round & 1);
    return after_barrier(tiles + stage * kBytes);
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

// At most 16 rows: the warps share a tile, each computing the scores of 16 keys and then a quarter
// of the dimensions.
template <int D>
__device__ void attend_few(const Output<D>& to, TileRing<kTileBytes<D>>& ring, uint32_t queries,
                           Exchange& exchange, float scale, bool apart) {
  constexpr int N = D / 8 / kWarps;
  const AttentionItem& item = to.item;
  const int warp = warp_index(), lane = threadIdx.x % 32, first_dim = warp * N * 8;
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
      named_barrier(1, kAttentionConsumers);
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
      named_barrier(1, kAttentionConsumers);
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
__device__ void attend_many(const Output<D>& to, TileRing<kTileBytes<D>>& ring, uint32_t queries,
                            float* sums, float scale, bool apart) {
  constexpr int N = D / 8;
  const AttentionItem& item = to.item;
  const int warp = warp_index(), lane = threadIdx.x % 32;
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
        float2& old = total_values[(2 * i + r) * kAttentionConsumers];
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

}  // namespace orthrus::cuda
