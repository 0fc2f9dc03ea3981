// Work on single rows: embedding, RMSNorm, RoPE (rows.cpp).
#pragma once

#include <span>

#include "kernels/formats/format.h"
#include "kernels/ops.h"

namespace orthrus::cpu {

// Where a row of a row-major matrix begins.
inline const std::byte* row_of(const Matrix& from, int row) {
  const size_t row_bytes = bytes_of(format_of(from.type), static_cast<size_t>(from.cols));
  return static_cast<const std::byte*>(from.data) + row_bytes * static_cast<size_t>(row);
}

// out = the row of a row-major matrix, as floats.
void widen_row(const Matrix& table, int row, float* out);

// out = x / sqrt(mean(x^2) + eps) * weight. `out` may be x.
void norm_row(const float* x, std::span<const float> weight, float eps, float* out);

// One head of `head_dim` in place: norm_row, unless the weight is empty, then the rotation of its
// halves. cos, sin: [head_dim / 2].
void norm_rope_head(float* head, int head_dim, std::span<const float> weight, float eps,
                    const float* cos, const float* sin);

// A key and its value, one head, into slot `slot` of its tile (kv_layout.h).
void store_key_value(const float* key, const float* value, int slot, const KvLayout& layout,
                     std::byte* tile);

// The slots [begin, end) of a tile, keys and values, into another tile.
void copy_key_values(const std::byte* from, std::byte* to, int begin, int end,
                     const KvLayout& layout);

}  // namespace orthrus::cpu
