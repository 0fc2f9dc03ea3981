#include <algorithm>

#include "base/ceil_div.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_job.h"
#include "kernels/cuda/attention_loads.cuh"
#include "kernels/cuda/attention_merge.cuh"
#include "kernels/cuda/attention_rows.cuh"
#include "kernels/cuda/attention_side_by_side.cuh"
#include "kernels/cuda/device_features.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx.cuh"

namespace orthrus::cuda {
namespace {

constexpr int kThreads = kAttentionConsumers + 32;

template <int D>
__device__ void produce(const AttentionJob& job, const AttentionItem& item, uint8_t* tiles,
                        TileRing<kTileBytes<D>>& ring) {
  for (int split = item.first_split; split < item.last_split; ++split) {
    const SplitTiles from = tiles_of_split(item, split);
    const int stored = stored_keys(item.span, from.block);
    for (int t = from.first; t < from.first + from.count; ++t) {
      ring.wait_empty();
      fetch<D>(tiles + ring.stage * kTileBytes<D>, where_tile<D>(job, item, from.block, t),
               stored - t * kTilePositions, &ring.full[ring.stage]);
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
  if (threadIdx.x == 0) {
    for (int i = 0; i < Layout<D>::kStages; ++i) {
      barrier_init(&full[i], 1);
      barrier_init(&empty[i], kWarps);
    }
    barrier_init_fence();
  }
  __syncthreads();
  let_successor_start();
  const AttentionWork work = job.work();
  const AttentionPlan plan = plan_of(work, few_supported(D));
  const float scale = score_scale(D);
  uint8_t* const tiles = shared + Layout<D>::kRing;
  TileRing<kTileBytes<D>> ring{shared_address(tiles), full, empty,
                               plan.apart ? Layout<D>::kStages : Layout<D>::kStages - 1};
  AttentionItem item;
  for (int i = static_cast<int>(blockIdx.x); find_item(work, plan, i, item);
       i += static_cast<int>(gridDim.x)) {
    if (warp_index() >= kWarps) {
      produce<D>(job, item, tiles, ring);
      continue;
    }
    wait_for_predecessor();
    const Output<D> to{job, item};
    named_barrier(1, kAttentionConsumers);  // the queries before are done with
    if (item.rows <= kFewRows) {
      load_queries<D, kFewRows, kAttentionConsumers>(to, shared);
    } else {
      load_queries<D, kBlockRows, kAttentionConsumers>(to, shared);
    }
    named_barrier(1, kAttentionConsumers);
    const uint32_t queries = after_barrier(shared_address(shared));
    if constexpr (few_supported(D)) {
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

int most_splits(int positions) {
  // The cache's and the block's, of which the cache's need not end with a split.
  return ceil_div(positions, kSplitTiles * kTilePositions) + 1;
}

// Items of 16 rows that a pass has at most, where one sequence has all of its rows.
int items_of_one(const Heads& heads, int bucket, int positions) {
  const int rows = bucket * (heads.heads / heads.kv_heads);
  return heads.kv_heads * ceil_div(rows, kFewRows) * most_splits(positions);
}

// The same, where each row is another sequence's.
int items_of_many(const Heads& heads, int bucket, int positions) {
  return bucket * items_of_one(heads, 1, positions);
}

template <int D>
cudaError_t launch_attention(const AttentionJob& job, int splits, cudaStream_t stream) {
  cudaError_t error = cudaErrorInvalidValue;
  if (!job.side_by_side) {
    error = launch(attention_kernel<D>, job.blocks, kThreads, Layout<D>::kBytes, 1, stream, job);
  } else if constexpr (few_supported(D)) {
    if (job.cluster > 1) {
      return launch(side_by_side_kernel<D, true>, job.blocks, kSideThreads, SideLayout<D>::kBytes,
                    job.cluster, stream, job);
    }
    error = launch(side_by_side_kernel<D, false>, job.blocks, kSideThreads, SideLayout<D>::kBytes,
                   1, stream, job);
  }
  return error != cudaSuccess ? error : launch_merge<D>(job, splits, stream);
}

}  // namespace

size_t attention_workspace_bytes(const Heads& heads, int bucket, int positions) {
  const size_t parts = static_cast<size_t>(most_splits(positions)) *
                       std::min(bucket, kMostRowsApart) * static_cast<size_t>(heads.heads);
  return parts * (sizeof(float2) + static_cast<size_t>(heads.head_dim) * sizeof(float));
}

cudaError_t attention(const __nv_bfloat16* q, const Heads& heads, const KvBatch& batch,
                      __nv_bfloat16* out, void* workspace, int bucket, int positions, bool alone,
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
  int processors = 0;
  if (const cudaError_t error = count_multiprocessors(&processors); error != cudaSuccess) {
    return error;
  }
  // Two blocks fit a multiprocessor; each takes items until there are none. Where there are few, an
  // item's time is what counts.
  constexpr int kMostRows = 32, kMostItems = 3;  // items by multiprocessor
  // With more blocks in clusters some wait for room: 320 of them, for 32 rows of 8B, took longer
  // than a second kernel.
  const int most_in_clusters = processors + processors / 3;
  job.side_by_side = has_wgmma() && few_supported(heads.head_dim) && bucket <= kMostRows &&
                     items_of_one(heads, bucket, positions) <= kMostItems * processors;
  job.blocks = 2 * processors;
  if (job.side_by_side) {
    const int splits = most_splits(positions);
    // Many sequences have more splits than clusters find room for, and a tree's rows share some.
    const bool clusters = alone && splits <= kMostCluster &&
                          items_of_one(heads, bucket, positions) <= most_in_clusters;
    job.cluster = clusters ? splits : 1;
    const int items =
        alone ? items_of_one(heads, bucket, positions) : items_of_many(heads, bucket, positions);
    job.blocks = std::min(job.blocks / job.cluster * job.cluster, items);
  }
  switch (heads.head_dim) {
    case 16:
      return launch_attention<16>(job, most_splits(positions), stream);
    case 32:
      return launch_attention<32>(job, most_splits(positions), stream);
    case 64:
      return launch_attention<64>(job, most_splits(positions), stream);
    case 128:
      return launch_attention<128>(job, most_splits(positions), stream);
    default:
      return cudaErrorInvalidValue;
  }
}

}  // namespace orthrus::cuda
