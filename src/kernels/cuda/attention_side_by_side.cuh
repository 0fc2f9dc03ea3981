// Attention where so few blocks have work that the time of one counts: a split of at most 16 rows,
// whose tiles are attended to side by side, with the bits of one tile after the other. What the
// splits gave is merged by a second kernel, or by the blocks of a cluster, each of which has one.
#pragma once

#include "kernels/cuda/attention_job.h"
#include "kernels/cuda/attention_loads.cuh"
#include "kernels/cuda/attention_rows.cuh"
#include "kernels/cuda/attention_sums.cuh"
#include "kernels/cuda/attention_tile.cuh"

namespace orthrus::cuda {

// Two warps score a tile, half of its keys each; then each has 16 of the dimensions.
inline constexpr int kSideWarps = 2 * kSplitTiles;
inline constexpr int kSideConsumers = kSideWarps * 32;
inline constexpr int kSideThreads = kSideConsumers + 32;

struct SideExchange {
  float tops[kFewRows][kSplitTiles][2];  // by half
  float sums[kFewRows][kSplitTiles][4];  // by group of 16 keys
  uint4 weights[kSplitTiles][4][32];     // and by lane: its fragment
};

// What a block's split gave, for its cluster. Lies where the exchange was.
template <int D>
struct SidePart {
  float values[kFewRows][D];
  float2 tops[kFewRows];  // largest score and sum
};

// Where a row's part goes: to the kernel that merges, or to the block's cluster.
template <int D>
struct PartsApart {
  static constexpr bool kOverExchange = false;
  const Output<D>& to;

  __device__ float* values(int row) const {
    return to.job.part_values + to.part(to.item.first_split, row) * D;
  }
  __device__ float2& top(int row) const {
    return to.job.part_tops[to.part(to.item.first_split, row)];
  }
};

template <int D>
struct PartsOfCluster {
  static constexpr bool kOverExchange = true;
  SidePart<D>& own;

  __device__ float* values(int row) const { return own.values[row]; }
  __device__ float2& top(int row) const { return own.tops[row]; }
};

// Two blocks fit a multiprocessor, or one beside one of a product. Keys and values lie apart, so
// that a split's last values come where its first keys were.
template <int D>
struct SideLayout {
  static constexpr int kExchange = kFewRows * D * 2;  // behind queries
  static constexpr int kRing = kExchange + static_cast<int>(sizeof(SideExchange));
  static constexpr int kHalfTile = kTileBytes<D> / 2;
  static constexpr int kStages = kSplitTiles + 2;
  static constexpr int kBarriers = kRing + kStages * kHalfTile;  // full, then empty
  static constexpr int kBytes = kBarriers + 2 * kStages * static_cast<int>(sizeof(uint64_t));
  static_assert(kRing % 256 == 0 && sizeof(SidePart<D>) <= sizeof(SideExchange));
};

template <int D>
using SideRing = TileRing<SideLayout<D>::kHalfTile>;

// All keys, and then all values.
template <int D>
__device__ void produce_side_by_side(const AttentionJob& job, const AttentionItem& item,
                                     uint8_t* places, SideRing<D>& ring) {
  const SplitTiles from = tiles_of_split(item, item.first_split);
  const int stored = stored_keys(item.span, from.block);
#pragma unroll 1
  for (int half = 0; half < 2; ++half) {
#pragma unroll 1
    for (int t = from.first; t < from.first + from.count; ++t) {
      ring.wait_empty();
      fetch_half<D>(places + ring.stage * SideLayout<D>::kHalfTile,
                    where_tile<D>(job, item, from.block, t) + half * kTilePositions * D,
                    stored - t * kTilePositions, &ring.full[ring.stage]);
      ring.next();
    }
  }
}

template <int D, typename Parts>
__device__ void attend_side_by_side(const Output<D>& to, SideRing<D>& ring, uint32_t queries,
                                    SideExchange& exchange, float scale, const Parts& parts) {
  constexpr int N = 2;
  static_assert(kSideWarps * N * 8 >= D);  // fewer dimensions leave warps without
  const AttentionItem& item = to.item;
  const int warp = warp_index(), lane = threadIdx.x % 32, split = item.first_split;
  const int own = warp / 2, half = warp % 2;
  const SplitTiles tiles = tiles_of_split(item, split);
  const Visible ends = visible_keys(item, tiles.block, to.group(), item.first_row)
                           .from(tiles.first * kTilePositions);
  float s[4][4];
  for (int t = 0; t < tiles.count; ++t) {
    const uint32_t keys = ring.wait();
    if (t == own) {
      score<D, 2>(s, queries, keys + half * 32 * D * 2);
      before_barrier(s);
    }
    ring.release();
  }
  if (own < tiles.count) {
    const Visible visible = ends.from(own * kTilePositions);
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      hide<2>(s, r, half * 32, visible.row[r]);
      const float top = quad_max(largest<2>(s, r));
      if (lane % 4 == 0) exchange.tops[lane / 4 + 8 * r][own][half] = __fmul_rn(top, scale);
    }
  }
  named_barrier(1, kSideConsumers);
  // What a sum over the tiles up to each has.
  Sum sum[2];
  float factor[kSplitTiles][2], top_of_own[2] = {};
#pragma unroll
  for (int t = 0; t < kSplitTiles; ++t) {
    if (t == tiles.count) break;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float(&tops)[2] = exchange.tops[lane / 4 + 8 * r][t];
      factor[t][r] = raise_top(sum[r], fmaxf(tops[0], tops[1]));
      if (t == own) top_of_own[r] = sum[r].top;
    }
  }
  if (own < tiles.count) {
#pragma unroll
    for (int g = 0; g < 2; ++g) {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const float group_sum =
            quad_sum(exponentials(s[2 * g], s[2 * g + 1], r, scale, top_of_own[r]));
        if (lane % 4 == 0) exchange.sums[lane / 4 + 8 * r][own][2 * half + g] = group_sum;
      }
      uint32_t w[4];
      pack_weights(w, s[2 * g], s[2 * g + 1]);
      exchange.weights[own][2 * half + g][lane] = make_uint4(w[0], w[1], w[2], w[3]);
    }
  }
  named_barrier(1, kSideConsumers);
  const int first_dim = warp * N * 8;
  const bool has_dims = first_dim < D;
  float values[N][4] = {};
#pragma unroll
  for (int t = 0; t < kSplitTiles; ++t) {
    if (t == tiles.count) break;
    const uint32_t of_tile = ring.wait();
    if (has_dims) {
      uint32_t weights[4][4];
#pragma unroll
      for (int g = 0; g < 4; ++g) {
        const uint4 of_group = exchange.weights[t][g][lane];
        weights[g][0] = of_group.x, weights[g][1] = of_group.y;
        weights[g][2] = of_group.z, weights[g][3] = of_group.w;
      }
      weigh<D, N>(values, factor[t], weights, of_tile, first_dim, ends.stored - t * kTilePositions);
      before_barrier(values);
    }
    ring.release();
  }
  float total[2] = {};
  if (warp == 0) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
#pragma unroll
      for (int t = 0; t < kSplitTiles; ++t) {
        if (t == tiles.count) break;
        const float(&sums)[4] = exchange.sums[lane / 4 + 8 * r][t];
        total[r] = __fmaf_rn(total[r], factor[t][r], ((sums[0] + sums[1]) + sums[2]) + sums[3]);
      }
    }
  }
  if constexpr (Parts::kOverExchange) named_barrier(1, kSideConsumers);  // parts go where it was
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int row = lane / 4 + 8 * r;
    if (row >= item.rows) continue;
    if (warp == 0 && lane % 4 == 0) parts.top(row) = {sum[r].top, total[r]};
    if (!has_dims) continue;
    float2* const at = reinterpret_cast<float2*>(parts.values(row) + first_dim + lane % 4 * 2);
#pragma unroll
    for (int i = 0; i < N; ++i) at[4 * i] = {values[i][2 * r], values[i][2 * r + 1]};
  }
}

// Merges what the blocks of a cluster have of an item, in ascending order: a warp a row, a lane
// four dimensions.
template <int D>
__device__ void merge_in_cluster(const Output<D>& to, SidePart<D>& own) {
  const int first_dim = static_cast<int>(threadIdx.x) % 32 * 4, splits = to.item.splits;
  const bool has_dims = first_dim < D;
  const int step = to.job.cluster * kSideWarps;
  for (int row = warp_index() * to.job.cluster + static_cast<int>(cluster_rank());
       row < to.item.rows; row += step) {
    float2 top[kMostCluster];
    float4 value[kMostCluster];
#pragma unroll
    for (int s = 0; s < kMostCluster; ++s) {
      if (s >= splits || !has_dims) continue;
      top[s] = *at_rank(&own.tops[row], s);
      value[s] = *at_rank(reinterpret_cast<float4*>(&own.values[row][first_dim]), s);
    }
    Sum sum;
    float v[4] = {};
#pragma unroll
    for (int s = 0; s < kMostCluster; ++s) {
      // What the row sees nothing of may be anything.
      if (s >= splits || !has_dims || top[s].x == -INFINITY) continue;
      const Factors f = merge(sum, {top[s].x, top[s].y});
      v[0] = merge_value(v[0], value[s].x, f), v[1] = merge_value(v[1], value[s].y, f);
      v[2] = merge_value(v[2], value[s].z, f), v[3] = merge_value(v[3], value[s].w, f);
    }
    if (!has_dims) continue;
    *reinterpret_cast<uint2*>(to.out(row) + first_dim) =
        make_uint2(finished(v[0], v[1], sum.total), finished(v[2], v[3], sum.total));
  }
}

// An item is a split, or with kClusters a whole context, of whose splits each block of the cluster
// has one; blocks beyond them only merge.
template <int D, bool kClusters>
__global__ void __launch_bounds__(kSideThreads, 2)
    side_by_side_kernel(const __grid_constant__ AttentionJob job) {
  extern __shared__ __align__(256) uint8_t shared[];
  uint64_t* const full = reinterpret_cast<uint64_t*>(shared + SideLayout<D>::kBarriers);
  uint64_t* const empty = full + SideLayout<D>::kStages;
  if (threadIdx.x == 0) {
    for (int i = 0; i < SideLayout<D>::kStages; ++i) {
      barrier_init(&full[i], 1);
      barrier_init(&empty[i], kSideWarps);
    }
    barrier_init_fence();
  }
  __syncthreads();
  let_successor_start();
  const AttentionWork work = job.work();
  const float scale = score_scale(D);
  SideExchange& exchange = *reinterpret_cast<SideExchange*>(shared + SideLayout<D>::kExchange);
  uint8_t* const places = shared + SideLayout<D>::kRing;
  SideRing<D> ring{shared_address(places), full, empty, SideLayout<D>::kStages};
  const auto attend = [&](const AttentionItem& item, const auto& parts) {
    const Output<D> to{job, item};
    // Where one warp is here, none reads the queries or the tops of the item before any more.
    load_queries<D, kFewRows, kSideConsumers>(to, shared);
    named_barrier(1, kSideConsumers);
    attend_side_by_side(to, ring, after_barrier(shared_address(shared)), exchange, scale, parts);
  };
  const bool fetches = warp_index() >= kSideWarps;
  const AttentionPlan plan = kClusters ? AttentionPlan{kWholeContexts} : AttentionPlan{kSideBySide};
  const int cluster = kClusters ? job.cluster : 1;
  AttentionItem item;
  for (int i = static_cast<int>(blockIdx.x) / cluster; find_item(work, plan, i, item);
       i += static_cast<int>(gridDim.x) / cluster) {
    if constexpr (kClusters) item.first_split = static_cast<int>(cluster_rank());
    const bool has_split = item.first_split < item.splits;
    if (fetches && has_split) produce_side_by_side<D>(job, item, places, ring);
    if (!fetches) wait_for_predecessor();
    if constexpr (kClusters) {
      SidePart<D>& part = reinterpret_cast<SidePart<D>&>(exchange);
      if (!fetches && has_split) attend(item, PartsOfCluster<D>{part});
      cluster_sync_shared();
      if (!fetches) merge_in_cluster(Output<D>{job, item}, part);
      cluster_leave();
    } else if (!fetches) {
      attend(item, PartsApart<D>{Output<D>{job, item}});
    }
  }
  wait_for_predecessor();  // also where there was nothing to do: whoever waits for this block
}

}  // namespace orthrus::cuda
