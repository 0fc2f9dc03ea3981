// Which keys the rows of a pass attend to.
#pragma once

#include "base/host_device.h"

namespace orthrus::cuda {

inline constexpr int kTilePositions = 64;

// Rows of a pass that belong to one sequence: AttentionSpan of kernels/ops.h, for the device.
// With no block it is the AR view: row i stands at position first_position + i, its key is stored
// in the cache there, and it sees the positions up to its own. With a block it is the diffusion
// view: row i's key is stored in the block's slot i, and every row sees the cache before
// first_position, then the whole block.
struct KvSpan {
  int first_row = 0;
  int rows = 0;
  int first_position = 0;
  int first_page = 0;         // page_table[first_page + i] holds positions [64 i, 64 i + 64)
  int first_block_page = -1;  // block page first_block_page + i holds slots [64 i, 64 i + 64)

  // Of a tree's trunk: how many rows the tree has. They follow each other, the trunk's first, those
  // of branches behind them: attention takes them together. May be 0 where there are no branches.
  int tree_rows = 0;

  // Of a branch of a tree (cache/kv_branches.h), which is a span of its own, behind its trunk's.
  int behind = 0;  // rows of the pass that come before it on its path, and are of other spans
  int copied_page =
      -1;  // what its first page has of positions known() and before is copied from it

  ORTHRUS_HOST_DEVICE bool has_block() const { return first_block_page >= 0; }
  // The positions that the pass begins behind.
  ORTHRUS_HOST_DEVICE int known() const { return first_position - behind; }
};

// Heads of a network: query head h reads key head h / (heads / kv_heads).
struct Heads {
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
};

}  // namespace orthrus::cuda
