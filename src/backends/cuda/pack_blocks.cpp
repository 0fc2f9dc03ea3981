#include "backends/cuda/pack_blocks.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/half.h"
#include "kernels/formats/format.h"

namespace orthrus::cuda {
namespace {

constexpr int kRoundedCols = 32;  // that share a scale

// Some bits of each number, and where they lie in a subtile: of lane 0's two rows, by column. Those
// of other lanes are `lane_bytes` apart.
struct BitsPlaces {
  int shift, mask, lane_bytes;
  struct Place {
    int byte, bit;
  } of_row[2][kSubtileCols];
};

template <typename ByteOf, typename BitOf>
constexpr BitsPlaces places(int shift, int mask, ByteOf byte_of, BitOf bit_of) {
  BitsPlaces all{shift, mask, byte_of(NumberPlace{1, 0, 0, 0}) - byte_of(NumberPlace{}), {}};
  for (int upper = 0; upper < 2; ++upper) {
    for (int col = 0; col < kSubtileCols; ++col) {
      const NumberPlace place = place_of(8 * upper, col);
      all.of_row[upper][col] = {byte_of(place), bit_of(place)};
    }
  }
  return all;
}

constexpr BitsPlaces kBytes =
    places(0, 0xff, Q8Layout::byte_of, [](const NumberPlace&) { return 0; });
constexpr BitsPlaces kHalves = places(0, 0xf, HalvesLayout::byte_of, HalvesLayout::bit_of);
constexpr BitsPlaces kFifths = places(4, 1, Q5Layout::fifths_byte_of, Q5Layout::fifths_bit_of);
constexpr BitsPlaces kPairs = places(4, 3, Q6Layout::pairs_byte_of, Q6Layout::pairs_bit_of);

// A row of a subtile that is being filled.
class SubtileRow {
 public:
  SubtileRow(int row, std::byte* subtile)
      : place_(place_of(row, 0)),
        scale_place_(scale_place(row)),
        subtile_(reinterpret_cast<uint8_t*>(subtile)) {}

  // Of `count` columns from `col` on: integers and `offset`.
  void put(const BitsPlaces& places, const int8_t* quants, int offset, int col, int count) {
    uint8_t* const of_lane = subtile_ + place_.lane * places.lane_bytes;
    const auto* const at = places.of_row[place_.upper] + col;
    for (int i = 0; i < count; ++i) {
      const int bits = (quants[i] + offset) >> places.shift & places.mask;
      of_lane[at[i].byte] = static_cast<uint8_t>(of_lane[at[i].byte] | bits << at[i].bit);
    }
  }
  // One of the row's scales.
  template <typename Layout>
  void put_scale(float scale, int i) {
    const BF16 stored = to_bf16(scale);
    const auto element = static_cast<size_t>(scale_place_ * Layout::kRowScales + i);
    std::memcpy(subtile_ + Layout::kScalesAt + element * sizeof stored, &stored, sizeof stored);
  }

 private:
  NumberPlace place_;
  int scale_place_;
  uint8_t* subtile_;
};

// Columns of a block, at most 64: those from `at` on, as those of a subtile from `col` on.
struct BlockPiece {
  const Format& format;
  const BlockParts& parts;
  int at, col, count;

  const int8_t* quants() const { return parts.quants + at; }
  // Calls put(group, place) for each group of the block, and the place among the subtile's.
  template <typename Put>
  void for_groups(const Put& put) const {
    const int columns = format.group_columns;
    for (int i = 0; i < count / columns; ++i) put(at / columns + i, col / columns + i);
  }
};

template <typename Layout>
void put_scales(const BlockPiece& piece, SubtileRow& to) {
  piece.for_groups([&](int group, int place) {
    to.put_scale<Layout>(piece.parts.scale_of(group) * kScaleUp, place);
  });
}

// Integers that were `offset` less and had no minimum have one that makes up for it.
template <typename Layout>
void put_scales_and_minimums(const BlockPiece& piece, int offset, SubtileRow& to) {
  piece.for_groups([&](int group, int place) {
    const float scale = to_float(to_bf16(piece.parts.scale_of(group)));
    const float minimum = piece.parts.minimum_of(group) + static_cast<float>(offset) * scale;
    to.put_scale<Layout>(scale * kScaleUp, place);
    to.put_scale<Layout>(-minimum * kMinimumUp, 2 + place);
  });
}

void put(const BlockPiece& piece, WeightForm form, SubtileRow& to) {
  const auto put_bits = [&](const BitsPlaces& places, int offset) {
    to.put(places, piece.quants(), offset, piece.col, piece.count);
  };
  const int to_zero = piece.format.has_minimums ? 0 : 8;  // Q4_0 has integers from -8 on
  switch (form) {
    case WeightForm::kQ8:
      put_bits(kBytes, 128);
      put_scales<Q8Layout>(piece, to);
      break;
    case WeightForm::kQ6:
      put_bits(kHalves, 32), put_bits(kPairs, 32);
      put_scales<Q6Layout>(piece, to);
      break;
    case WeightForm::kQ5:
      put_bits(kHalves, to_zero), put_bits(kFifths, to_zero);
      put_scales_and_minimums<Q5Layout>(piece, to_zero, to);
      break;
    case WeightForm::kQ4:
      put_bits(kHalves, to_zero);
      put_scales_and_minimums<Q4Layout>(piece, to_zero, to);
      break;
    case WeightForm::kBf16:
      break;
  }
}

// 32 columns as integers up to 127 and the least BF16 scale that allows it.
void round_to_q8(const float* from, int col, SubtileRow& to) {
  // Smaller numbers are taken for zero, which the subtile has already. The device's steps are exact
  // from here on.
  constexpr float kLeastLargest = 0x1p-80f;
  float largest = 0;
  for (int k = 0; k < kRoundedCols; ++k) largest = std::max(largest, std::abs(from[k]));
  if (largest < kLeastLargest) return;
  BF16 scale = to_bf16(largest / 127);
  if (to_float(scale) * 127 < largest) ++scale.bits;
  std::array<int8_t, kRoundedCols> quants{};
  for (int k = 0; k < kRoundedCols; ++k) {
    quants[static_cast<size_t>(k)] = static_cast<int8_t>(std::nearbyint(from[k] / to_float(scale)));
  }
  to.put(kBytes, quants.data(), 128, col, kRoundedCols);
  to.put_scale<Q8Layout>(to_float(scale) * kScaleUp, col / kRoundedCols);
}

}  // namespace

bool holds(WeightForm form, DType type) {
  switch (form) {
    case WeightForm::kQ8:
      return type == DType::kQ8_0 || type == DType::kQ5_0 || type == DType::kQ4_0 ||
             type == DType::kIQ4_NL || type == DType::kIQ4_XS;
    case WeightForm::kQ6:
      return type == DType::kQ6_K;
    case WeightForm::kQ5:
      return type == DType::kQ5_K || holds(WeightForm::kQ4, type);
    case WeightForm::kQ4:
      return type == DType::kQ4_K || type == DType::kQ4_0;
    case WeightForm::kBf16:
      break;
  }
  return false;
}

void pack_row(const std::byte* row, DType type, int cols, WeightForm form, int place,
              std::byte* group) {
  const Format& format = format_of(type);
  const auto row_at = [&](int col) {
    return SubtileRow(place, group + static_cast<size_t>(col / kSubtileCols * subtile_bytes(form)));
  };
  if (holds(form, type)) {
    BlockParts parts;
    const int step = std::min(format.block_columns, kSubtileCols);
    for (int block = 0; block < cols; block += format.block_columns, row += format.block_bytes) {
      format.unpack(row, parts);
      for (int at = 0; at < format.block_columns; at += step) {
        SubtileRow to = row_at(block + at);
        put({format, parts, at, (block + at) % kSubtileCols, step}, form, to);
      }
    }
    return;
  }
  assert(form == WeightForm::kQ8);
  std::vector<float> wide(static_cast<size_t>(round_up(cols, kRoundedCols)));
  format.widen(row, static_cast<size_t>(cols / format.block_columns), wide.data());
  for (int col = 0; col < cols; col += kRoundedCols) {
    SubtileRow to = row_at(col);
    round_to_q8(wide.data() + col, col % kSubtileCols, to);
  }
}

}  // namespace orthrus::cuda
