// How matrices of block formats lie on the device: the same integers and scales as in a file, in
// the order in which the tensor cores' warps want them.
//
// A matrix is cut into subtiles of 64 rows and 64 columns. Those of 64 rows lie one behind the
// other, by ascending columns, so that a block streams consecutive memory. What fills up the last
// rows and columns is zero. An even number of row groups there is always.
//
// Within a subtile a warp has 16 rows. A lane's numbers are those that it gives to four steps of 16
// columns (multiply_add in ptx.cuh, wgmma.cuh): in each of two rows, 8 apart, two neighbouring
// columns and the two 8 further on. Four such numbers are one group: `place_of` says which.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/ceil_div.h"

namespace orthrus::cuda {

// How the weights of a matrix are stored.
enum class WeightForm : uint8_t {
  kBf16,    // row-major, not in subtiles
  kQ8,      // of 32 columns an f16 scale; a byte each, 128 more than the integer
  kQ8Bf16,  // likewise, with a BF16 scale: what is rounded to 8 bits on its way to the device
  kQ4K,     // Q4_K: four bits each
  kQ6K,     // Q6_K: six bits each, 32 more than the integer
};

inline constexpr int kSubtileRows = 64, kSubtileCols = 64;

// Where a number of a subtile goes.
struct NumberPlace {
  int lane;    // of four warps'
  int upper;   // 0 or 1: row and row + 8
  int step;    // of 16 columns
  int number;  // of four
};

constexpr NumberPlace place_of(int row, int col) {
  const int in_step = col % 16;
  return {.lane = row / 16 * 32 + row % 8 * 4 + in_step % 8 / 2,
          .upper = row % 16 / 8,
          .step = col / 16,
          .number = in_step / 8 * 2 + col % 2};
}

// Each row's scales lie behind the numbers, those of a row and of the row 8 below side by side.
constexpr int scale_place(int row) {
  return (row / 16 * 8 + row % 8) * 2 + row % 16 / 8;
}

// kQ8: of each lane the bytes of the upper row, and behind those of all lanes the lower row's.
struct Q8Layout {
  static constexpr int kNumberBytes = kSubtileRows * kSubtileCols;
  static constexpr int kScaleBytes = kSubtileRows * 4;  // of a row two f16
  static constexpr int kBytes = kNumberBytes + kScaleBytes;

  static constexpr int number_at(const NumberPlace& p) {
    return p.upper * kNumberBytes / 2 + p.lane * 16 + p.step * 4 + p.number;
  }
};

// kQ8Bf16: the same, with BF16 scales, each times kScaleUp. The bits of a byte are those of a BF16
// that is kByteStep times it, for all 256 of them: subnormal numbers are evenly spaced, and so are
// the least normal ones. So one BF16 multiply-add makes a number of it, rounded once, but for a
// power of two, which sums have to be multiplied by.
struct Q8Bf16Layout : Q8Layout {
  static constexpr float kScaleUp = 0x1p111f, kByteStep = 0x1p-133f;
  static constexpr float kSumFactor = 1 / kScaleUp / kByteStep;
};

// Four bits of each number: of each lane the upper row's, then the lower's. A byte has a number of
// an even step in its low half, and that of the step behind it in its high one.
struct HalvesLayout {
  static constexpr int kBytes = kSubtileRows * kSubtileCols / 2;

  static constexpr int byte_of(const NumberPlace& p) {
    return p.lane * 16 + p.upper * 8 + p.step / 2 * 4 + p.number;
  }
  static constexpr int bit_of(const NumberPlace& p) { return p.step % 2 * 4; }
};

// kQ4K: halves, and of each row the f16 of the scales, that of the minimums, two scales, and two
// minimums, a byte each. The first two are the same in all four subtiles of 256 columns: half a bit
// more a number than a file has, for memory that is read in one piece.
struct Q4KLayout {
  static constexpr int kScalesAt = HalvesLayout::kBytes, kRowScaleBytes = 8;
  static constexpr int kBytes = kScalesAt + kSubtileRows * kRowScaleBytes;
};

// kQ6K: halves; two more bits of each number: of each lane the upper row's bytes, then the lower's,
// of which each has the four steps' from its lowest bits on; of each row four scales, a byte each,
// 128 more than the integer; and each row's f16.
struct Q6KLayout {
  static constexpr int kPairsAt = HalvesLayout::kBytes;
  static constexpr int kIntegersAt = kPairsAt + kSubtileRows * kSubtileCols / 4;
  static constexpr int kScalesAt = kIntegersAt + kSubtileRows * 4;
  static constexpr int kBytes = kScalesAt + kSubtileRows * 2;

  static constexpr int pairs_byte_of(const NumberPlace& p) {
    return kPairsAt + p.lane * 8 + p.upper * 4 + p.number;
  }
};

constexpr int subtile_bytes(WeightForm form) {
  switch (form) {
    case WeightForm::kQ8:
    case WeightForm::kQ8Bf16:
      return Q8Layout::kBytes;
    case WeightForm::kQ4K:
      return Q4KLayout::kBytes;
    case WeightForm::kQ6K:
      return Q6KLayout::kBytes;
    case WeightForm::kBf16:
      break;
  }
  return 0;
}

// Groups of 64 rows of a matrix in subtiles.
constexpr int row_groups(int rows) {
  return ceil_div(rows, 2 * kSubtileRows) * 2;
}
constexpr int column_groups(int cols) {
  return ceil_div(cols, kSubtileCols);
}

constexpr size_t packed_bytes(WeightForm form, int groups, int cols) {
  return static_cast<size_t>(groups) * static_cast<size_t>(column_groups(cols)) *
         static_cast<size_t>(subtile_bytes(form));
}

}  // namespace orthrus::cuda
