// Attention of some queries of one key head (attention.cpp).
#pragma once

#include "kernels/ops.h"

namespace orthrus::cpu {

// Queries that are computed together: they share each tile's keys and values; and those of them
// that a tile of registers takes at once.
inline constexpr int kMostQueries = 16;
inline constexpr int kMostTileQueries = 6;

// Memory that attend() works in: queries, their running values, and those of the current tile.
inline size_t attend_floats(const KvLayout& layout) {
  return layout.value_stride() * (2 * kMostQueries + kMostTileQueries);
}

// The queries [first, first + count) that read key head `kv_head`, count <= kMostQueries. Query i
// is row i / group of the spans, one span after the other, query head kv_head * group + i % group.
// `workspace`: attend_floats, aligned to 64 bytes.
void attend(ConstRows q, std::span<const AttentionSpan> spans, int kv_head, int group, int first,
            int count, const KvLayout& layout, size_t cache_offset, Rows out, float* workspace);

}  // namespace orthrus::cpu
