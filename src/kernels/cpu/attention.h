// Attention of some queries of one span and key head (attention.cpp).
#pragma once

#include "kernels/ops.h"

namespace orthrus::cpu {

// Queries that are computed together: they share each tile's keys and values.
inline constexpr int kMostQueries = 16;

// The queries [first, first + count) of the span that read key head `kv_head`, count <=
// kMostQueries. Query i is row i / group of the span, query head kv_head * group + i % group.
void attend(ConstRows q, const AttentionSpan& span, int kv_head, int group, int first, int count,
            const KvLayout& layout, size_t cache_offset, Rows out);

}  // namespace orthrus::cpu
