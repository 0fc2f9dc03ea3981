// A number format: how a row of a matrix lies in a file, and what its numbers are. One small file
// for each block format, and one table of all formats. A new one is a file and a row there; how
// products take it is kernels/cpu's to say.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/half.h"
#include "orthrus/dtype.h"

namespace orthrus {

// The numbers of one block, as the integers that it holds: number i is
//   scale_of(g) * quants[i] - minimum_of(g), where g = i / group_columns (of the format).
struct BlockParts {
  static constexpr int kMostColumns = 256;
  static constexpr int kMostGroups = 16;
  int8_t quants[kMostColumns];
  F16 scale;                      // of the whole block
  F16 minimum;                    // zero where has_minimums is false
  int8_t scales[kMostGroups];     // of a group; ones where the format has none
  uint8_t minimums[kMostGroups];  // zeros where has_minimums is false

  // Exact in float32: products of an f16 and a small integer.
  float scale_of(int g) const { return to_float(scale) * static_cast<float>(scales[g]); }
  float minimum_of(int g) const { return to_float(minimum) * static_cast<float>(minimums[g]); }
};

// A row is a run of whole blocks. A number that is stored by itself is a block of one.
struct Format {
  DType type;
  std::string_view name;  // name_of(type)
  int block_columns;      // neighbouring columns of a row that are stored together
  int block_bytes;
  // The largest magnitude that numbers converted to it may have. Blocks of a file can hold a little
  // more: Q8_0 has a quant of -128, K-quants have minimums.
  float largest;

  // The numbers of `blocks` blocks, as float32: all that can be are exact. `from` needs no
  // alignment.
  void (*widen)(const std::byte* from, size_t blocks, float* to);
  // Whether all numbers of them are finite: none has a NaN or an infinity for a scale.
  bool (*finite)(const std::byte* from, size_t blocks);

  // Of formats that store blocks, else none.
  int group_columns;  // neighbouring columns that share a scale
  bool has_minimums;
  void (*unpack)(const std::byte* block, BlockParts& to);

  bool stores_blocks() const { return block_columns > 1; }
};

const Format& format_of(DType type);
std::span<const Format> all_formats();  // in the order of DType

// Bytes of `count` numbers, which must be whole blocks, and small enough for their bytes to fit.
inline size_t bytes_of(const Format& format, size_t count) {
  return count / static_cast<size_t>(format.block_columns) *
         static_cast<size_t>(format.block_bytes);
}

}  // namespace orthrus
