// How operands of the matrix products lie in memory, for kernels of every instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "orthrus/dtype.h"

namespace orthrus::cpu {

inline constexpr int kLanes = 16;      // running sums of a dot product (lanes-inl.h)
inline constexpr int kStep = 32;       // columns that a product takes at a time
inline constexpr int kBlockRows = 16;  // weight rows that a thread takes at a time

constexpr size_t round_up(size_t n, size_t to) {
  return (n + to - 1) / to * to;
}

struct BF16 {
  uint16_t bits;
};
struct F16 {
  uint16_t bits;
};

// A matrix of Q8_0: for each 16 rows a group, which holds for each 32 columns a block of
// [8 quads of columns][16 rows][4 columns] weights, stored as weight + 128, so that one register
// has 4 columns of 16 rows; then the blocks' scales, [blocks][16 rows] in f16. What lies past the
// matrix's rows and columns is zero. A weight is in -127..127.
struct Q8Group {
  static constexpr size_t kBlockBytes = kBlockRows * kStep;
  static size_t blocks(int cols) { return round_up(cols, kStep) / kStep; }
  static size_t bytes(int cols) {
    return round_up(blocks(cols) * (kBlockBytes + kBlockRows * sizeof(F16)), 64);
  }
};

// A row of activations as a product wants it, padded with zeros to whole steps.
//   F32, F16   the floats.
//   BF16       of each step first the 16 even columns, then the 16 odd ones: a register of 32 bf16
//              weights gives its odd ones by a mask and its even ones by a shift.
//   Q8_0       Q8Row.
constexpr size_t operand_bytes(DType type, int cols) {
  const size_t padded = round_up(static_cast<size_t>(cols), kStep);
  return type == DType::kQ8_0 ? padded + padded / kStep * 8 : padded * sizeof(float);
}

// 32 activations a block share a scale, the largest magnitude over 127: int8_t [padded], then
// float scale [blocks], then int32_t sum of the block's quantized activations [blocks].
template <typename Byte>
struct Q8Row {
  Q8Row(Byte* row, int cols) : blocks(round_up(cols, kStep) / kStep), row_(row) {}
  auto* quants() const { return as<int8_t>(0); }
  auto* scales() const { return as<float>(blocks * kStep); }
  auto* sums() const { return as<int32_t>(blocks * (kStep + sizeof(float))); }
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
