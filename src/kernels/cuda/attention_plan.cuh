// Which tiles and rows a block of the attention kernel works on: found on the device, from spans.
#pragma once

#include <algorithm>

#include "kernels/cuda/attention.h"

namespace orthrus::cuda {

// Rows (a query and one of its group's heads) that a block computes together, 16 a warp; or 16, for
// which its warps share the work, where there is little to do.
inline constexpr int kBlockRows = 64;
inline constexpr int kFewRows = 16;
inline constexpr int kSplitTiles = 4;
// Of a pass with more rows than this, every split of a query is computed by one block.
inline constexpr int kMostRowsApart = 256;
// So many items of 16 rows are little to do.
inline constexpr int kFewItems = 528;

struct AttentionJob {
  Heads heads;
  KvBatch batch;
  const __nv_bfloat16* q;
  __nv_bfloat16* out;
  // Of passes whose splits are computed apart, what they gave: [split][part_rows][heads].
  int part_rows;
  float2* part_tops;   // largest score and sum
  float* part_values;  // [head_dim]
  int blocks;          // of the attention kernel
};

inline int most_splits(int positions) {
  // The cache's and the block's, neither of which need end with a split.
  return (positions + kSplitTiles * kTilePositions - 1) / (kSplitTiles * kTilePositions) + 2;
}

// But for the blocks; as attention() (attention.h) takes what it is of.
inline AttentionJob make_attention_job(const __nv_bfloat16* q, const Heads& heads,
                                       const KvBatch& batch, __nv_bfloat16* out, void* workspace,
                                       int bucket, int positions) {
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
  return job;
}

// How a pass is cut up. No result depends on it.
struct AttentionPlan {
  bool apart;      // splits are items of their own
  int block_rows;  // of an item: kBlockRows or kFewRows
};

// What one block computes at a time.
struct AttentionItem {
  KvSpan span;
  int kv_head;
  int first_row, rows;  // of the span's rows times the group
  int splits;           // of the pair; this item is [first_split, last_split) of them
  int first_split, last_split;
  int cache_tiles, block_tiles;
};

__device__ inline int tiles_of(int positions) {
  return (positions + kTilePositions - 1) / kTilePositions;
}

__device__ inline int splits_of(int tiles) {
  return (tiles + kSplitTiles - 1) / kSplitTiles;
}

// Tiles [first, first + count) of the cache, or of the block.
struct SplitTiles {
  bool block;
  int first, count;
};

__device__ inline SplitTiles tiles_of_split(const AttentionItem& item, int split) {
  const int cache_splits = splits_of(item.cache_tiles);
  const bool block = split >= cache_splits;
  const int first = (block ? split - cache_splits : split) * kSplitTiles;
  const int tiles = block ? item.block_tiles : item.cache_tiles;
  return {block, first, min(kSplitTiles, tiles - first)};
}

__device__ inline int row_blocks(const KvSpan& span, int group, int block_rows) {
  return (span.rows * group + block_rows - 1) / block_rows;
}

// The rows and tiles of a block of rows. The longest contexts of a span come first.
__device__ inline AttentionItem item_of(const KvSpan& span, int row_block, int group,
                                        int block_rows) {
  AttentionItem item = {};
  item.span = span;
  item.first_row = (row_blocks(span, group, block_rows) - 1 - row_block) * block_rows;
  item.rows = min(block_rows, span.rows * group - item.first_row);
  if (span.has_block()) {
    item.cache_tiles = tiles_of(span.first_position);
    item.block_tiles = tiles_of(span.rows);
  } else {
    const int last_query = (item.first_row + item.rows - 1) / group;
    item.cache_tiles = tiles_of(span.first_position + last_query + 1);
  }
  item.splits = splits_of(item.cache_tiles) + splits_of(item.block_tiles);
  return item;
}

// Of a warp: where there are several spans, its lanes look at 32 at a time.
__device__ inline AttentionPlan plan_of(const AttentionJob& job, bool few_rows_supported) {
  const int spans = *job.batch.span_count, group = job.heads.heads / job.heads.kv_heads;
  const bool several = spans > 1;
  int rows = 0, items = 0, tiles = 0, longest = 0;
  for (int s = several ? static_cast<int>(threadIdx.x) % 32 : 0; s < spans; s += 32) {
    const KvSpan span = job.batch.spans[s];
    rows = max(rows, span.first_row + span.rows);
    const int of_span = tiles_of(span.first_position + span.rows);
    items += job.heads.kv_heads * row_blocks(span, group, kFewRows) * splits_of(of_span);
    tiles += job.heads.kv_heads * row_blocks(span, group, kBlockRows) * of_span;
    longest = max(longest, of_span);
  }
  if (several) {
    rows = __reduce_max_sync(~0u, rows), longest = __reduce_max_sync(~0u, longest);
    items = __reduce_add_sync(~0u, items), tiles = __reduce_add_sync(~0u, tiles);
  }
  // Where a block's share is more than the longest context, there is nothing to gain by merging.
  const bool apart = rows <= job.part_rows && 2 * tiles < 3 * longest * job.blocks;
  return {apart, apart && few_rows_supported && items <= kFewItems ? kFewRows : kBlockRows};
}

// Of a warp: which of the lanes has the item `index`, each having `own` in order, and the item's
// index among those; or, where none has it, 32 and its index among what follows.
__device__ inline int lane_of_item(int own, int& index) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  int up_to = own;
  for (int step = 1; step < 32; step *= 2) {
    const int other = __shfl_up_sync(~0u, up_to, step);
    if (lane >= step) up_to += other;
  }
  const unsigned beyond = __ballot_sync(~0u, index < up_to);
  const int found = beyond != 0 ? __ffs(static_cast<int>(beyond)) - 1 : 32;
  index -= __shfl_sync(~0u, found < 32 ? up_to - own : up_to, min(found, 31));
  return found;
}

// The item of that index among the span's, if there is one. Of a warp: where splits are items, its
// lanes count those of 32 blocks of rows at a time.
__device__ inline bool find_item_of(const KvSpan& span, const AttentionJob& job,
                                    const AttentionPlan& plan, int index, AttentionItem& item) {
  const int kv_heads = job.heads.kv_heads, group = job.heads.heads / kv_heads;
  const int blocks = row_blocks(span, group, plan.block_rows);
  if (!plan.apart) {
    if (index >= blocks * kv_heads) return false;
    item = item_of(span, index / kv_heads, group, plan.block_rows);
    item.kv_head = index % kv_heads;
    item.first_split = 0, item.last_split = item.splits;
    return true;
  }
  for (int first = 0; first < blocks; first += 32) {
    const int own = first + static_cast<int>(threadIdx.x) % 32;
    const int block =
        first +
        lane_of_item(
            own < blocks ? item_of(span, own, group, plan.block_rows).splits * kv_heads : 0, index);
    if (block == first + 32) continue;
    item = item_of(span, block, group, plan.block_rows);
    item.kv_head = index / item.splits;
    item.first_split = index % item.splits, item.last_split = item.first_split + 1;
    return true;
  }
  return false;
}

// The item of that index, if there is one. Of a warp: its lanes count those of 32 spans at a time.
__device__ inline bool find_item(const AttentionJob& job, const AttentionPlan& plan, int index,
                                 AttentionItem& item) {
  const int spans = *job.batch.span_count;
  if (spans == 1) return find_item_of(job.batch.spans[0], job, plan, index, item);
  const int kv_heads = job.heads.kv_heads, group = job.heads.heads / kv_heads;
  for (int first = 0; first < spans; first += 32) {
    int items = 0;
    if (const int s = first + static_cast<int>(threadIdx.x) % 32; s < spans) {
      const KvSpan span = job.batch.spans[s];
      const int blocks = row_blocks(span, group, plan.block_rows);
      items = plan.apart ? 0 : blocks;
      for (int b = 0; plan.apart && b < blocks; ++b) {
        items += item_of(span, b, group, plan.block_rows).splits;
      }
    }
    const int found = lane_of_item(items * kv_heads, index);
    if (found < 32) {
      return find_item_of(job.batch.spans[first + found], job, plan, index, item);
    }
  }
  return false;
}

}  // namespace orthrus::cuda
