// How operands of the matrix products lie in memory, for kernels of every instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/ceil_div.h"
#include "base/half.h"
#include "base/strict_math.h"

namespace orthrus::cpu {

inline constexpr int kLanes = 16;      // of a row's sums (lanes-inl.h)
inline constexpr int kPanelRows = 16;  // weight rows that lie side by side

// A matrix as products take it: panels of 16 rows each, so that one register has the same columns
// of neighbouring rows, and a product needs no sum across its lanes. What lies past the matrix's
// rows and columns is zero. A panel of numbers that are stored one by one is
//   F32, F16   [columns][16 rows]
//   BF16       [pairs of columns][16 rows][2 columns]: a register of 32-bit lanes gives the first
//              column of a pair by a shift and the second by a mask
inline size_t panel_bytes_of_numbers(size_t number_bytes, int cols) {
  return round_up(round_up(static_cast<size_t>(cols), 2) * kPanelRows * number_bytes, 64);
}

// A panel of a block format holds the integers of the file and nothing else, in three runs: for
// each 32 columns the quants, in planes of bits; for each 32 columns the integers that scale
// groups, where the format has them; and the f16 scales.
inline constexpr int kBlockColumns = 32;
inline constexpr int kQuads = kBlockColumns / 4;  // of neighbouring columns of a block

// How the quants of 32 columns and 16 rows lie: a quad of a row is four neighbouring bytes, as the
// dot products of four bytes want them.
enum class Planes : uint8_t {
  kBytes,   // [8 quads][16 rows][4 columns]
  kHalves,  // [4 quads][16 rows][4 columns]: quad i in the low halves, quad i + 4 in the high
  kHalvesAndBits,   // and [16 rows][4 columns]: a fifth bit of quad i in bit i
  kHalvesAndPairs,  // and [2][16 rows][4 columns]: two more of quad i in bits 2 (i % 4) of byte i /
                    // 4
  kPlaces,          // as kHalves, but each half is a quant's place in the list kIq4Values
};

struct BlockLayout {
  Planes planes;
  int offset;         // what products take is so much more than the quant, and not negative
  int group_columns;  // that share a scale, 32 or 16
  // False: an f16 scale for each 32 columns. True: one for each 256, and an integer for each group.
  bool group_scales;
  bool minimums;  // as the scales have them: an f16 for each 256 columns, and integers

  // Whether products take bytes of all eight bits; else they take less than 64.
  constexpr bool eight_bits() const { return offset == 128; }
  constexpr int scale_blocks() const { return group_scales ? 8 : 1; }  // that share an f16
  constexpr int groups() const { return kBlockColumns / group_columns; }
  constexpr size_t plane_bytes() const {
    constexpr size_t kBits = kPanelRows * kBlockColumns / 8;  // of a bit of each quant
    switch (planes) {
      case Planes::kBytes:
        return 8 * kBits;
      case Planes::kHalvesAndBits:
        return 5 * kBits;
      case Planes::kHalvesAndPairs:
        return 6 * kBits;
      default:
        return 4 * kBits;
    }
  }
  // Of a block: [groups][16 rows] int8 scales, then [16 rows] uint8 minimums.
  constexpr size_t integer_bytes() const {
    return group_scales ? static_cast<size_t>((groups() + (minimums ? 1 : 0)) * kPanelRows) : 0;
  }
  // Of blocks that share them: [16 rows] scales, then [16 rows] minimums.
  constexpr size_t scale_bytes() const { return (minimums ? 2 : 1) * kPanelRows * sizeof(F16); }

  // Where the runs begin in a panel of so many blocks, a multiple of scale_blocks().
  constexpr size_t integers_at(size_t blocks) const { return blocks * plane_bytes(); }
  constexpr size_t scales_at(size_t blocks) const {
    return integers_at(blocks) + blocks * integer_bytes();
  }
  constexpr size_t panel_bytes(size_t blocks) const {
    return round_up(
        scales_at(blocks) + blocks / static_cast<size_t>(scale_blocks()) * scale_bytes(), 64);
  }
};

inline constexpr BlockLayout kLayoutQ8_0{Planes::kBytes, 128, 32, false, false};
inline constexpr BlockLayout kLayoutQ4_0{Planes::kHalves, 8, 32, false, false};
inline constexpr BlockLayout kLayoutQ5_0{Planes::kHalvesAndBits, 16, 32, false, false};
inline constexpr BlockLayout kLayoutQ4_K{Planes::kHalves, 0, 32, true, true};
inline constexpr BlockLayout kLayoutQ5_K{Planes::kHalvesAndBits, 0, 32, true, true};
inline constexpr BlockLayout kLayoutQ6_K{Planes::kHalvesAndPairs, 32, 16, true, false};
inline constexpr BlockLayout kLayoutIQ4_NL{Planes::kPlaces, 128, 32, false, false};
inline constexpr BlockLayout kLayoutIQ4_XS{Planes::kPlaces, 128, 32, true, false};

inline size_t blocks_of(int cols) {
  return ceil_div(static_cast<size_t>(cols), kBlockColumns);
}

// Activations as weights want them. A row is
enum class OperandForm : uint8_t {
  kFloats,  // the floats as they are
  kBf16,  // rounded to BF16 and padded with zeros to 16: as BF16 where their instructions are used
          // (pair_dot-inl.h), else as the same numbers in float32
  kBlocks,  // ActivationBlock for each 32 columns, the last padded with zeros; those of the rows of
            // a tile lie side by side: [tiles][blocks][rows of a tile]
};

// 32 activations as 8-bit integers: one form for all block formats. The scale is the largest
// magnitude over 127, and a quant in -127..127.
struct ActivationBlock {
  int8_t quants[kBlockColumns];
  float scale;
  float scaled_sum;  // scale times the sum of all quants: for minimums
  // Where a dot product begins whose weights are an offset too large: minus the offset times the
  // sum of the quants. Of 32 columns by kOffsets, and of 16 each by kHalfOffset.
  int32_t starts[3];
  int32_t half_starts[2];
  int32_t padding;
};
static_assert(sizeof(ActivationBlock) == 64);

inline constexpr int kOffsets[] = {8, 16, 128};  // of layouts whose groups are of 32 columns
inline constexpr int kHalfOffset = 32;           // of those whose groups are of 16

// The place in kOffsets.
constexpr int start_of(int offset) {
  int place = 0;
  while (kOffsets[place] != offset) ++place;
  return place;
}

// Rows of a tile, of so many in all. A tile may have more than there are, and its last rows
// anything.
inline constexpr int kMostTileRows = 16;
constexpr int tile_rows(int rows) {
  return rows <= 1 ? 1 : rows <= 4 ? 4 : rows <= 8 ? 8 : kMostTileRows;
}

// Bytes of a row of kFloats or kBf16, and of a tile of kBlocks.
inline size_t row_bytes(int cols) {
  return round_up(static_cast<size_t>(cols), kLanes) * sizeof(float);
}
inline size_t tile_bytes(int cols, int rows) {
  return blocks_of(cols) * static_cast<size_t>(tile_rows(rows)) * sizeof(ActivationBlock);
}

}  // namespace orthrus::cpu
