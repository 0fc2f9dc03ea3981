// How keys and values lie in device memory, and which of them the rows of a pass attend to.
#pragma once

#include <cuda_bf16.h>

#include <cstddef>

namespace orthrus::cuda {

inline constexpr int kTilePositions = 64;

// A tile holds the keys of 64 consecutive positions of one head, [64][head_dim], and then their
// values, [64][head_dim], in bf16: one contiguous run that the copy engine fetches at once. So that
// eight rows can be read side by side without bank conflicts, the 16-byte chunks of row r are
// permuted: chunk c lies at c ^ (r & mask). head_dim is a power of two from 16 to 128.
__host__ __device__ constexpr int tile_elements(int head_dim) {
  return 2 * kTilePositions * head_dim;
}

// Where dimension d of the key in row r lies in its tile, in elements; of the value, 64 * head_dim
// further on.
__host__ __device__ constexpr int tile_offset(int r, int d, int head_dim) {
  const int chunks = head_dim / 8, mask = chunks < 8 ? chunks - 1 : 7;
  return (r * chunks + ((d / 8) ^ (r & mask))) * 8 + d % 8;
}

// Memory for tiles: the tile of key head h in page i lies at data + i * page_stride + h *
// tile_elements. `data` already points to the layer; all in elements.
struct KvPages {
  __nv_bfloat16* data = nullptr;
  size_t page_stride = 0;
};

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

  __host__ __device__ bool has_block() const { return first_block_page >= 0; }
  // The positions that the pass begins behind.
  __host__ __device__ int known() const { return first_position - behind; }
};

// Other pages that a row's key and value belong to, in the slot that they have in its own: those
// where branches begin that the row is before. The first is page_table[first].
struct RowCopies {
  int first = 0;
  int count = 0;
};

// All on the device, so that a captured graph serves any spans. Spans, tables, counts of rows, and
// the cache's positions before those of the pass, are complete before the first kernel of the pass
// starts: kernels read them while their predecessors still run. embed() begins a pass so.
struct KvBatch {
  const KvSpan* spans = nullptr;
  const int* span_count = nullptr;
  const int* page_table = nullptr;
  KvPages cache, block;
  const RowCopies* copies = nullptr;  // by row; or none has any
};

// Heads of a network: query head h reads key head h / (heads / kv_heads).
struct Heads {
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
};

}  // namespace orthrus::cuda
