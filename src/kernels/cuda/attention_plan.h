// Which tiles and rows a block of the attention kernel works on: found on the device, from spans.
#pragma once

#include "base/host_device.h"
#include "kernels/cuda/kv_span.h"
#include "kernels/cuda/lanes.h"

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

// What there is to do in a pass.
struct AttentionWork {
  Heads heads;
  const KvSpan* spans;
  const int* span_count;
  int part_rows;  // of a pass whose splits may be computed apart, at most
  int blocks;     // of the attention kernel
};

// How a pass is cut up. No result depends on it.
struct AttentionPlan {
  bool apart;      // splits are items of their own
  int block_rows;  // of an item: kBlockRows or kFewRows
};

// Where the sizes of a pass alone say that blocks have little to do: tiles are attended to side by
// side.
inline constexpr AttentionPlan kSideBySide = {true, kFewRows};
// The same where the blocks of a cluster share out the splits of an item.
inline constexpr AttentionPlan kWholeContexts = {false, kFewRows};

// What one block computes at a time.
struct AttentionItem {
  KvSpan span;  // or, of splits that a tree shares, the whole tree as one
  int kv_head;
  int first_row, rows;  // of the span's rows times the group
  int splits;           // of the pair; this item is [first_split, last_split) of them
  int first_split, last_split;
  int cache_tiles, block_tiles;
};

ORTHRUS_HOST_DEVICE inline int smaller(int a, int b) {
  return a < b ? a : b;
}

ORTHRUS_HOST_DEVICE inline int larger(int a, int b) {
  return a > b ? a : b;
}

ORTHRUS_HOST_DEVICE inline int tiles_of(int positions) {
  return (positions + kTilePositions - 1) / kTilePositions;
}

ORTHRUS_HOST_DEVICE inline int splits_of(int tiles) {
  return (tiles + kSplitTiles - 1) / kSplitTiles;
}

// Tiles [first, first + count) of the cache, or of the block.
struct SplitTiles {
  bool block;
  int first, count;
};

ORTHRUS_HOST_DEVICE inline SplitTiles tiles_of_split(const AttentionItem& item, int split) {
  const int cache_splits = splits_of(item.cache_tiles);
  const bool block = split >= cache_splits;
  const int first = (block ? split - cache_splits : split) * kSplitTiles;
  const int tiles = block ? item.block_tiles : item.cache_tiles;
  return {block, first, smaller(kSplitTiles, tiles - first)};
}

ORTHRUS_HOST_DEVICE inline int row_blocks(const KvSpan& span, int group, int block_rows) {
  return (span.rows * group + block_rows - 1) / block_rows;
}

// The splits that lie wholly before the pass. All rows of a tree see all of their keys, on the same
// pages, so where splits are items these have its rows together.
ORTHRUS_HOST_DEVICE inline int shared_splits(const KvSpan& span) {
  return span.known() / (kSplitTiles * kTilePositions);
}

// The rows that a span has such items of: a trunk those of its tree, a branch none.
ORTHRUS_HOST_DEVICE inline KvSpan sharing_rows(KvSpan span) {
  span.rows = span.behind > 0 ? 0 : larger(span.rows, span.tree_rows);
  return span;
}

// The rows and tiles of a block of rows. The longest contexts of a span come first.
ORTHRUS_HOST_DEVICE inline AttentionItem item_of(const KvSpan& span, int row_block, int group,
                                                 int block_rows) {
  AttentionItem item = {};
  item.span = span;
  item.first_row = (row_blocks(span, group, block_rows) - 1 - row_block) * block_rows;
  item.rows = smaller(block_rows, span.rows * group - item.first_row);
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

// Of a warp: where there are several spans, its lanes share them out.
ORTHRUS_HOST_DEVICE inline AttentionPlan plan_of(const AttentionWork& work,
                                                 bool few_rows_supported) {
  const int spans = *work.span_count, group = work.heads.heads / work.heads.kv_heads;
  const bool several = spans > 1;
  int rows = 0, items = 0, tiles = 0, unshared_tiles = 0, longest = 0;
  for (int s = several ? OwnLane::own() : 0; s < spans; s += OwnLane::kCount) {
    const KvSpan span = work.spans[s];
    rows = larger(rows, span.first_row + span.rows);
    const KvSpan sharing = sharing_rows(span);
    const int of_span = tiles_of(span.first_position + span.rows), shared = shared_splits(span);
    items +=
        work.heads.kv_heads * (row_blocks(sharing, group, kFewRows) * shared +
                               row_blocks(span, group, kFewRows) * (splits_of(of_span) - shared));
    const int blocks = work.heads.kv_heads * row_blocks(span, group, kBlockRows);
    tiles += work.heads.kv_heads * row_blocks(sharing, group, kBlockRows) * shared * kSplitTiles +
             blocks * (of_span - shared * kSplitTiles);
    unshared_tiles += blocks * of_span;
    longest = larger(longest, of_span);
  }
  if (several) {
    rows = OwnLane::max(rows), longest = OwnLane::max(longest);
    items = OwnLane::sum(items), tiles = OwnLane::sum(tiles);
    unshared_tiles = OwnLane::sum(unshared_tiles);
  }
  // Where a block's share is more than the longest context, there is nothing to gain by merging,
  // but for what trees share.
  const bool apart =
      rows <= work.part_rows && (2 * tiles < 3 * longest * work.blocks || tiles < unshared_tiles);
  return {apart, apart && few_rows_supported && items <= kFewItems ? kFewRows : kBlockRows};
}

// The item of that index among the span's, if there is one: those of shared splits come first, then
// others. Of a warp: each lane counts those of a block of rows.
ORTHRUS_HOST_DEVICE inline bool find_item_of(const KvSpan& span, const AttentionWork& work,
                                             const AttentionPlan& plan, int index,
                                             AttentionItem& item) {
  const int kv_heads = work.heads.kv_heads, group = work.heads.heads / kv_heads;
  const int blocks = row_blocks(span, group, plan.block_rows);
  if (!plan.apart) {
    if (index >= blocks * kv_heads) return false;
    item = item_of(span, index / kv_heads, group, plan.block_rows);
    item.kv_head = index % kv_heads;
    item.first_split = 0, item.last_split = item.splits;
    return true;
  }
  const KvSpan sharing = sharing_rows(span);
  const int shared = shared_splits(span);
  const int of_shared = row_blocks(sharing, group, plan.block_rows) * shared * kv_heads;
  if (index < of_shared) {
    const int pair = index / shared;
    item = item_of(sharing, pair / kv_heads, group, plan.block_rows);
    item.kv_head = pair % kv_heads;
    item.first_split = index % shared, item.last_split = item.first_split + 1;
    return true;
  }
  index -= of_shared;
  for (int first = 0; first < blocks; first += OwnLane::kCount) {
    const int own = first + OwnLane::own();
    const int items =
        own < blocks ? (item_of(span, own, group, plan.block_rows).splits - shared) * kv_heads : 0;
    const int block = first + OwnLane::of_item(items, index);
    if (block == first + OwnLane::kCount) continue;
    item = item_of(span, block, group, plan.block_rows);
    const int others = item.splits - shared;
    item.kv_head = index / others;
    item.first_split = shared + index % others, item.last_split = item.first_split + 1;
    return true;
  }
  return false;
}

// The item of that index, if there is one. Of a warp: each lane counts those of a span.
ORTHRUS_HOST_DEVICE inline bool find_item(const AttentionWork& work, const AttentionPlan& plan,
                                          int index, AttentionItem& item) {
  const int spans = *work.span_count;
  if (spans == 1) return find_item_of(work.spans[0], work, plan, index, item);
  const int kv_heads = work.heads.kv_heads, group = work.heads.heads / kv_heads;
  for (int first = 0; first < spans; first += OwnLane::kCount) {
    int items = 0;
    if (const int s = first + OwnLane::own(); s < spans) {
      const KvSpan span = work.spans[s];
      const int blocks = row_blocks(span, group, plan.block_rows), shared = shared_splits(span);
      items = plan.apart ? row_blocks(sharing_rows(span), group, plan.block_rows) * shared : blocks;
      for (int b = 0; plan.apart && b < blocks; ++b) {
        items += item_of(span, b, group, plan.block_rows).splits - shared;
      }
    }
    const int found = OwnLane::of_item(items * kv_heads, index);
    if (found < OwnLane::kCount) {
      return find_item_of(work.spans[first + found], work, plan, index, item);
    }
  }
  return false;
}

}  // namespace orthrus::cuda
