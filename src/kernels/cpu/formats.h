// How operands of the matrix products lie in memory, for kernels of every instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/ceil_div.h"
#include "base/half.h"
#include "kernels/formats/format.h"

namespace orthrus::cpu {

inline constexpr int kLanes = 16;      // of a row's sums (lanes-inl.h)
inline constexpr int kBlockRows = 16;  // weight rows that lie side by side
inline constexpr int kQ8Cols = 32;     // columns of a block of Q8_0

// A matrix as products take it: for each 16 rows a group, so that one register has the same columns
// of neighbouring rows, and a product needs no sum across its lanes. What lies past the matrix's
// rows and columns is zero. In a group
//   F32, F16   [columns][16 rows]
//   BF16       [pairs of columns][16 rows][2 columns]: a register of 32-bit lanes gives the first
//              column of a pair by a shift and the second by a mask
//   Q8_0       Q8Group
//
// A group of Q8_0 holds for each 32 columns a block of [8 quads of columns][16 rows][4 columns]
// weights, stored as weight + 128; then the blocks' scales, [blocks][16 rows] in f16. A weight is
// in -127..127.
struct Q8Group {
  static constexpr size_t kBlockBytes = kBlockRows * kQ8Cols;
  static size_t blocks(int cols) { return round_up(cols, kQ8Cols) / kQ8Cols; }
  static size_t bytes(int cols) {
    return round_up(blocks(cols) * (kBlockBytes + kBlockRows * sizeof(F16)), 64);
  }
};

inline size_t group_bytes(DType type, int cols) {
  if (type == DType::kQ8_0) return Q8Group::bytes(cols);
  return round_up(round_up(cols, 2) * kBlockRows * static_cast<size_t>(format_of(type).block_bytes),
                  64);
}

// Bytes of a row of activations as weights of this type want it.
//
//   F32, F16   the floats as they are
//   BF16       rounded to BF16 and padded with zeros to 16: as BF16 where there are
//              instructions for their products (pair_dot-inl.h), else as the same numbers in
//              float32
//   Q8_0       Q8Row, padded with zeros to whole blocks
inline size_t operand_bytes(DType type, int cols) {
  const auto n = static_cast<size_t>(cols);
  if (type != DType::kQ8_0) return round_up(n, kLanes) * sizeof(float);
  const size_t padded = round_up(n, kQ8Cols);
  return padded + padded / kQ8Cols * 8;
}

// 32 activations a block share a scale, the largest magnitude over 127: int8_t [padded], then
// float scale [blocks], then int32_t sum of the block's quantized activations [blocks].
template <typename Byte>
struct Q8Row {
  Q8Row(Byte* row, int cols) : blocks(round_up(cols, kQ8Cols) / kQ8Cols), row_(row) {}
  auto* quants() const { return as<int8_t>(0); }
  auto* scales() const { return as<float>(blocks * kQ8Cols); }
  auto* sums() const { return as<int32_t>(blocks * (kQ8Cols + sizeof(float))); }
  size_t blocks;

 private:
  template <typename T>
  auto* as(size_t at) const {
    if constexpr (std::is_const_v<Byte>) {
      return reinterpret_cast<const T*>(row_ + at);
    } else {
      return reinterpret_cast<T*>(row_ + at);
    }
  }
  Byte* row_;
};

}  // namespace orthrus::cpu
