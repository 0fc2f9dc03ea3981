// How matrices of block formats lie on the device: the integers of a file, and its scales rounded
// to BF16, in the order in which the tensor cores' warps want them.
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

// How the weights of a matrix are stored. A number is integer * scale, or integer * scale -
// minimum, rounded to BF16 once, and scales and minimums are BF16 numbers.
enum class WeightForm : uint8_t {
  kBf16,  // row-major, not in subtiles
  kQ8,    // 8 bits, -128 to 127; a scale for 32 columns
  kQ6,    // 6 bits, -32 to 31; a scale for 16 columns
  kQ5,    // 5 bits, 0 to 31; a scale and a minimum for 32 columns
  kQ4,    // 4 bits, 0 to 15; likewise
};

inline constexpr int kSubtileRows = 64, kSubtileCols = 64;

// Rows of gate, and then as many of up, in the matrix that SwiGLU's product takes (matmul.h), in
// any form: a lane has both of an output, in the two rows that it has of 16.
inline constexpr int kGatedRows = 8;

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

// The bits of an integer below 256 are those of a BF16 that is kIntegerStep times it: subnormal
// numbers are evenly spaced, and so are the least normal ones. Scales are stored kScaleUp times as
// large. So one BF16 multiply-add of integer, scale and minimum makes a number, rounded once, but
// for a power of two, which sums have to be multiplied by. kScaleUp leaves room for every scale of
// a file, at most 2^23, and for steps down to 2^-87.
inline constexpr float kIntegerStep = 0x1p-133f, kScaleUp = 0x1p104f;
inline constexpr float kMinimumUp = kScaleUp * kIntegerStep;
inline constexpr float kSumFactor = 1 / kMinimumUp;

// kQ8: bytes that are 128 more than the integers, of each lane those of the upper row, and behind
// those of all lanes the lower row's; and of each row two scales.
struct Q8Layout {
  static constexpr int kNumberBytes = kSubtileRows * kSubtileCols;
  static constexpr int kScalesAt = kNumberBytes, kRowScales = 2;
  static constexpr int kBytes = kScalesAt + kSubtileRows * kRowScales * 2;

  static constexpr int byte_of(const NumberPlace& p) {
    return p.upper * kNumberBytes / 2 + p.lane * 16 + p.step * 4 + p.number;
  }
};

// Four bits of each number: of each lane the upper row's, then the lower's. A word has two steps,
// the even one's numbers in bytes 0 and 2, in the low halves those of columns 0 and 1, in the high
// ones those of the columns 8 further. So a mask makes two BF16 numbers of it.
struct HalvesLayout {
  static constexpr int kBytes = kSubtileRows * kSubtileCols / 2;

  static constexpr int byte_in_word(const NumberPlace& p) { return p.number % 2 * 2 + p.step % 2; }
  static constexpr int byte_of(const NumberPlace& p) {
    return p.lane * 16 + p.upper * 8 + p.step / 2 * 4 + byte_in_word(p);
  }
  static constexpr int bit_of(const NumberPlace& p) { return p.number / 2 * 4; }
};

// kQ4: halves, and of each row two scales and, with a minus, two minimums times kMinimumUp.
struct Q4Layout {
  static constexpr int kScalesAt = HalvesLayout::kBytes, kRowScales = 4;
  static constexpr int kBytes = kScalesAt + kSubtileRows * kRowScales * 2;
};

// kQ5: halves; of each lane a word of fifth bits, where a byte has those of the same byte of both
// rows' words of halves, from its lowest bit on; and scales and minimums as kQ4 has them.
struct Q5Layout {
  static constexpr int kFifthsAt = HalvesLayout::kBytes;
  static constexpr int kScalesAt = kFifthsAt + kSubtileRows * kSubtileCols / 8, kRowScales = 4;
  static constexpr int kBytes = kScalesAt + kSubtileRows * kRowScales * 2;

  static constexpr int fifths_byte_of(const NumberPlace& p) {
    return kFifthsAt + p.lane * 4 + HalvesLayout::byte_in_word(p);
  }
  static constexpr int fifths_bit_of(const NumberPlace& p) {
    return p.upper * 4 + p.step / 2 * 2 + p.number / 2;
  }
};

// kQ6: integers that are 32 more. Halves; two more bits of each number, of each lane the upper
// row's word, then the lower's, where a byte has those of the same byte of the row's two words of
// halves, from its lowest bits on; and of each row four scales.
struct Q6Layout {
  static constexpr int kPairsAt = HalvesLayout::kBytes;
  static constexpr int kScalesAt = kPairsAt + kSubtileRows * kSubtileCols / 4, kRowScales = 4;
  static constexpr int kBytes = kScalesAt + kSubtileRows * kRowScales * 2;

  static constexpr int pairs_byte_of(const NumberPlace& p) {
    return kPairsAt + p.lane * 8 + p.upper * 4 + HalvesLayout::byte_in_word(p);
  }
  static constexpr int pairs_bit_of(const NumberPlace& p) {
    return (p.step / 2 * 2 + p.number / 2) * 2;
  }
};

constexpr int subtile_bytes(WeightForm form) {
  switch (form) {
    case WeightForm::kQ8:
      return Q8Layout::kBytes;
    case WeightForm::kQ6:
      return Q6Layout::kBytes;
    case WeightForm::kQ5:
      return Q5Layout::kBytes;
    case WeightForm::kQ4:
      return Q4Layout::kBytes;
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
