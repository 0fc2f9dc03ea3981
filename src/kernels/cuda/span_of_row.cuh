// Finding the span that a row of a pass belongs to.
#pragma once

#include "kernels/cuda/kv_tiles.h"

namespace orthrus::cuda {

// Spans stand in the order of their rows, so that halving finds the row's among those of many
// sequences. A span without rows where the row belongs to none.
__device__ inline KvSpan span_of_row(const KvBatch& batch, int row) {
  int low = 0, high = *batch.span_count;
  if (high == 0) return {};
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (batch.spans[middle].first_row <= row ? low : high) = middle;
  }
  const KvSpan span = batch.spans[low];
  const int i = row - span.first_row;
  return i >= 0 && i < span.rows ? span : KvSpan{};
}

}  // namespace orthrus::cuda
