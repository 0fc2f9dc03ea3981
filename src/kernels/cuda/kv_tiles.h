// How keys and values lie in device memory.
#pragma once

#include <cuda_bf16.h>

#include <cstddef>

#include "kernels/cuda/kv_span.h"

namespace orthrus::cuda {

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

}  // namespace orthrus::cuda
