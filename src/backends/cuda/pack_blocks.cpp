#include "backends/cuda/pack_blocks.h"

#include <array>
#include <cstring>
#include <vector>

#include "base/half.h"
#include "kernels/formats/format.h"
#include "kernels/formats/round.h"

namespace orthrus::cuda {
namespace {

constexpr int kGroupCols = 32;  // that share an f16 scale

// Where the numbers of row 0 lie, by column. Those of another row are as far apart.
constexpr auto kQ8Places = [] {
  std::array<int, kSubtileCols> places{};
  for (int col = 0; col < kSubtileCols; ++col) {
    places[static_cast<size_t>(col)] = Q8Layout::number_at(place_of(0, col));
  }
  return places;
}();

// 32 columns of a row into its subtile.
void put_q8(const int8_t* quants, F16 scale, int place, int col, std::byte* subtile) {
  auto* const of_row =
      reinterpret_cast<uint8_t*>(subtile) + Q8Layout::number_at(place_of(place, 0));
  for (int i = 0; i < kGroupCols; ++i) {
    of_row[kQ8Places[static_cast<size_t>(col + i)]] = static_cast<uint8_t>(quants[i] + 128);
  }
  const int at = scale_place(place) * 2 + col / kGroupCols;
  std::memcpy(subtile + Q8Layout::kNumberBytes + static_cast<size_t>(at) * sizeof scale, &scale,
              sizeof scale);
}

// Of each 32 columns calls put(quants, scale, first column).
template <typename Put>
void each_group(const std::byte* blocks, const Format& format, int cols, Put put) {
  BlockParts parts;
  for (int col = 0; col < cols; col += format.block_columns) {
    format.unpack(blocks, parts);
    put(parts.quants, parts.scale, col);
    blocks += format.block_bytes;
  }
}
template <typename Put>
void each_rounded_group(const std::byte* blocks, const Format& format, int cols, Put put) {
  std::vector<float> row(static_cast<size_t>(round_up(cols, kGroupCols)));
  format.widen(blocks, static_cast<size_t>(cols / format.block_columns), row.data());
  BlockParts parts;
  for (int col = 0; col < cols; col += kGroupCols) {
    round_to_q8_0(row.data() + col, parts);
    put(parts.quants, parts.scale, col);
  }
}

}  // namespace

std::optional<WeightForm> form_of(DType type) {
  switch (type) {
    case DType::kQ8_0:
    case DType::kQ5_0:
    case DType::kQ4_0:
    case DType::kIQ4_NL:
      return WeightForm::kQ8;
    default:
      return std::nullopt;
  }
}

void pack_row(const std::byte* row, DType type, int cols, WeightForm form, int place,
              std::byte* group) {
  const Format& format = format_of(type);
  const auto put = [&](const int8_t* quants, F16 scale, int col) {
    const auto subtile = static_cast<size_t>(col / kSubtileCols * subtile_bytes(form));
    put_q8(quants, scale, place, col % kSubtileCols, group + subtile);
  };
  if (form_of(type) == form) {
    each_group(row, format, cols, put);
  } else {
    each_rounded_group(row, format, cols, put);
  }
}

}  // namespace orthrus::cuda
