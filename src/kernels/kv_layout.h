// How a page of the KV cache is laid out.
#pragma once

#include <cstddef>

#include "kernels/page_size.h"
#include "orthrus/dtype.h"

namespace orthrus {

// The widest head there may be; wider ones are refused when loading.
inline constexpr int kMaxHeadDim = 1024;

// A page holds kPageSize positions of every layer. Each layer has a tile for each key head, which
// is one contiguous run: keys transposed, [head_dim][64], so that the scores of 64 positions are
// computed side by side; then values, [64][value_stride]. Neither sum runs across SIMD lanes.
struct KvLayout {
  int layers = 0;
  int kv_heads = 0;
  int head_dim = 0;
  DType type = DType::kF32;  // of keys and values: F32 or BF16

  // Values are padded to whole SIMD registers; no result depends on the padding.
  size_t value_stride() const { return (static_cast<size_t>(head_dim) + 15) / 16 * 16; }
  size_t element_bytes() const { return type == DType::kBF16 ? 2 : 4; }
  size_t keys_of_tile() const { return static_cast<size_t>(head_dim) * kPageSize; }
  size_t tile_bytes() const {
    return (keys_of_tile() + value_stride() * kPageSize) * element_bytes();
  }
  size_t layer_bytes() const { return tile_bytes() * static_cast<size_t>(kv_heads); }
  size_t page_bytes() const { return layer_bytes() * static_cast<size_t>(layers); }
};

}  // namespace orthrus
