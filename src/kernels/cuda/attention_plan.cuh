// Which tiles and rows a block of the attention kernel works on: found on the device, from spans.
#pragma once

#include "kernels/cuda/attention.h"

namespace orthrus::cuda {

// Rows (a query and one of its group's heads) that a block computes together, 16 a warp.
inline constexpr int kBlockRows = 64;
inline constexpr int kSplitTiles = 4;
// With fewer pairs (of a block of rows and a key head) than this, splits are computed apart.
inline constexpr int kEnoughPairs = 132;

struct AttentionJob {
  Heads heads;
  KvBatch batch;
  const __nv_bfloat16* q;
  __nv_bfloat16* out;
  int most_splits;     // of a pair, for which the workspace has room
  float2* part_tops;   // [pair][split][kBlockRows], largest score and sum
  float* part_values;  // [pair][split][kBlockRows][head_dim]
  int* arrived;        // [pair], splits that are finished
};

// What one block computes at a time.
struct AttentionItem {
  KvSpan span;
  int pair;
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

__device__ inline int row_blocks(const KvSpan& span, int group) {
  return (span.rows * group + kBlockRows - 1) / kBlockRows;
}

// A pair's rows and tiles. The longest contexts of a span come first.
__device__ inline AttentionItem pair_of(const KvSpan& span, int pair_in_span, int kv_heads,
                                        int group) {
  AttentionItem item = {};
  item.span = span;
  item.kv_head = pair_in_span % kv_heads;
  item.first_row = (row_blocks(span, group) - 1 - pair_in_span / kv_heads) * kBlockRows;
  item.rows = min(kBlockRows, span.rows * group - item.first_row);
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

// Whether splits are items of their own.
__device__ inline bool splits_apart(const AttentionJob& job) {
  const int spans = *job.batch.span_count, group = job.heads.heads / job.heads.kv_heads;
  int pairs = 0;
  for (int s = 0; s < spans; ++s) {
    pairs += job.heads.kv_heads * row_blocks(job.batch.spans[s], group);
  }
  return pairs < kEnoughPairs;
}

// The item of that index, if there is one.
__device__ inline bool find_item(const AttentionJob& job, bool apart, int index,
                                 AttentionItem& item) {
  const int spans = *job.batch.span_count, kv_heads = job.heads.kv_heads;
  const int group = job.heads.heads / kv_heads;
  int pairs = 0;
  for (int s = 0; s < spans; ++s) {
    const KvSpan span = job.batch.spans[s];
    const int blocks = row_blocks(span, group);
    if (!apart) {
      if (index < blocks * kv_heads) {
        item = pair_of(span, index, kv_heads, group);
        item.pair = pairs + index;
        item.first_split = 0, item.last_split = item.splits;
        return true;
      }
      index -= blocks * kv_heads;
    } else {
      for (int b = 0; b < blocks; ++b) {
        item = pair_of(span, b * kv_heads, kv_heads, group);
        if (index < item.splits * kv_heads) {
          item.kv_head = index / item.splits;
          item.pair = pairs + b * kv_heads + item.kv_head;
          item.first_split = index % item.splits, item.last_split = item.first_split + 1;
          return true;
        }
        index -= item.splits * kv_heads;
      }
    }
    pairs += blocks * kv_heads;
  }
  return false;
}

}  // namespace orthrus::cuda
