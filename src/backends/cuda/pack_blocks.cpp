#include "backends/cuda/pack_blocks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/half.h"
#include "kernels/formats/format.h"
#include "kernels/formats/round.h"

namespace orthrus::cuda {
namespace {

constexpr int kRoundedCols = 32;  // of Q8_0, that share a scale

// Where bits of the numbers of row 0 lie, by column. Those of another row are as far apart.
struct BitsPlace {
  int byte, bit;
};
using Places = std::array<BitsPlace, kSubtileCols>;

template <typename PlaceOf>
constexpr Places places(PlaceOf place) {
  Places of_columns{};
  for (int col = 0; col < kSubtileCols; ++col) {
    of_columns[static_cast<size_t>(col)] = place(place_of(0, col));
  }
  return of_columns;
}

constexpr Places kBytes = places([](const NumberPlace& p) {
  return BitsPlace{Q8Layout::number_at(p), 0};
});
constexpr Places kHalves = places([](const NumberPlace& p) {
  return BitsPlace{HalvesLayout::byte_of(p), HalvesLayout::bit_of(p)};
});
constexpr Places kPairs = places([](const NumberPlace& p) {
  return BitsPlace{Q6KLayout::pairs_byte_of(p), 2 * p.step};
});

// A row of a subtile that is being filled.
class SubtileRow {
 public:
  SubtileRow(int row, std::byte* subtile)
      : row_(row), subtile_(reinterpret_cast<uint8_t*>(subtile)) {}

  // Of `count` columns from `col` on.
  void put_bytes(const int8_t* quants, int col, int count) {
    uint8_t* const of_row = subtile_ + Q8Layout::number_at(place_of(row_, 0));
    for (int i = 0; i < count; ++i) {
      of_row[at(kBytes, col + i).byte] = static_cast<uint8_t>(quants[i] + 128);
    }
  }
  void put_halves(const int8_t* quants, int offset, int col, int count) {
    uint8_t* const of_row = subtile_ + HalvesLayout::byte_of(place_of(row_, 0));
    for (int i = 0; i < count; ++i) put(kHalves, col + i, (quants[i] + offset) & 0xf, of_row);
  }
  void put_pairs(const int8_t* quants, int offset, int col, int count) {
    uint8_t* const of_row =
        subtile_ + Q6KLayout::pairs_byte_of(place_of(row_, 0)) - Q6KLayout::kPairsAt;
    for (int i = 0; i < count; ++i) put(kPairs, col + i, (quants[i] + offset) >> 4, of_row);
  }
  // Element i of the row's own `count` behind `begin`.
  template <typename T>
  void put_scale(T value, int begin, int i, int count) {
    const auto element = static_cast<size_t>(scale_place(row_) * count + i);
    std::memcpy(subtile_ + begin + element * sizeof value, &value, sizeof value);
  }

 private:
  static const BitsPlace& at(const Places& places, int col) {
    return places[static_cast<size_t>(col)];
  }
  static void put(const Places& places, int col, int bits, uint8_t* of_row) {
    const BitsPlace& place = at(places, col);
    of_row[place.byte] = static_cast<uint8_t>(of_row[place.byte] | bits << place.bit);
  }

  int row_;
  uint8_t* subtile_;
};

// Columns [at, at + count) of a block, which begin at column `col` of the subtile and are 32 of a
// format with an f16 for each 32, else 64.
void put(const BlockParts& parts, WeightForm form, int at, int col, int count, SubtileRow& to) {
  const int8_t* const quants = parts.quants + at;
  if (form == WeightForm::kQ8) {
    to.put_bytes(quants, col, count);
    to.put_scale(parts.scale, Q8Layout::kNumberBytes, col / kRoundedCols, 2);
  } else if (form == WeightForm::kQ4K) {
    to.put_halves(quants, 0, col, count);
    to.put_scale(parts.scale, Q4KLayout::kScalesAt, 0, 4);
    to.put_scale(parts.minimum, Q4KLayout::kScalesAt, 1, 4);
    for (int g = 0; g < 2; ++g) {
      to.put_scale(parts.scales[at / 32 + g], Q4KLayout::kScalesAt, 4 + g, 8);
      to.put_scale(parts.minimums[at / 32 + g], Q4KLayout::kScalesAt, 6 + g, 8);
    }
  } else {
    to.put_halves(quants, 32, col, count);
    to.put_pairs(quants, 32, col, count);
    for (int g = 0; g < 4; ++g) {
      const auto biased = static_cast<uint8_t>(parts.scales[at / 16 + g] + 128);
      to.put_scale(biased, Q6KLayout::kIntegersAt, g, 4);
    }
    to.put_scale(parts.scale, Q6KLayout::kScalesAt, 0, 1);
  }
}

// 32 columns as integers up to 127 and the least BF16 scale that allows it, as kQ8Bf16 has them.
void round_to_bf16_scale(const float* from, int col, SubtileRow& to) {
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
  to.put_bytes(quants.data(), col, kRoundedCols);
  to.put_scale(to_bf16(to_float(scale) * Q8Bf16Layout::kScaleUp), Q8Layout::kNumberBytes,
               col / kRoundedCols, 2);
}

}  // namespace

std::optional<WeightForm> form_of(DType type) {
  switch (type) {
    case DType::kQ8_0:
    case DType::kQ5_0:
    case DType::kQ4_0:
    case DType::kIQ4_NL:
      return WeightForm::kQ8;
    case DType::kQ4_K:
      return WeightForm::kQ4K;
    case DType::kQ6_K:
      return WeightForm::kQ6K;
    default:
      return std::nullopt;
  }
}

void pack_row(const std::byte* row, DType type, int cols, WeightForm form, int place,
              std::byte* group) {
  const Format& format = format_of(type);
  BlockParts parts;
  const auto row_at = [&](int col) {
    return SubtileRow(place, group + static_cast<size_t>(col / kSubtileCols * subtile_bytes(form)));
  };
  const auto put_block = [&](int first_col, int count) {
    for (int at = 0; at < count; at += kSubtileCols) {
      const int col = first_col + at;
      SubtileRow to = row_at(col);
      put(parts, form, at, col % kSubtileCols, std::min(count, kSubtileCols), to);
    }
  };
  if (form_of(type) == form) {
    for (int col = 0; col < cols; col += format.block_columns, row += format.block_bytes) {
      format.unpack(row, parts);
      put_block(col, format.block_columns);
    }
    return;
  }
  std::vector<float> wide(static_cast<size_t>(round_up(cols, kRoundedCols)));
  format.widen(row, static_cast<size_t>(cols / format.block_columns), wide.data());
  for (int col = 0; col < cols; col += kRoundedCols) {
    if (form == WeightForm::kQ8Bf16) {
      SubtileRow to = row_at(col);
      round_to_bf16_scale(wide.data() + col, col % kSubtileCols, to);
      continue;
    }
    round_to_q8_0(wide.data() + col, parts);
    put_block(col, kRoundedCols);
  }
}

}  // namespace orthrus::cuda
