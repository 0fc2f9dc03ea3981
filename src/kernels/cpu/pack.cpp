#include "kernels/cpu/pack.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "kernels/formats/blocks.h"
#include "kernels/formats/round.h"
#include "kernels/matrix_rows.h"

namespace orthrus::cpu {
namespace {

void put(float value, float& to) {
  to = value;
}
void put(float value, F16& to) {
  to = to_f16(value);
}
void put(float value, BF16& to) {
  to = to_bf16(value);
}

// The place in the list of each value of it, by value + 128.
constexpr auto kPlaceOfIq4 = [] {
  std::array<uint8_t, 256> place{};
  for (size_t i = 0; i < std::size(kIq4Values); ++i) {
    place[static_cast<size_t>(kIq4Values[i] + 128)] = static_cast<uint8_t>(i);
  }
  return place;
}();

// One row's 32 quants into the block's planes.
void put_quants(const int8_t* quants, size_t row, const BlockLayout& layout, uint8_t* planes) {
  constexpr size_t kQuadBytes = size_t{4} * kPanelRows;  // of a quad of all rows
  uint8_t stored[kBlockColumns];
  for (int k = 0; k < kBlockColumns; ++k) {
    stored[k] = static_cast<uint8_t>(quants[k] + layout.offset);
    if (layout.planes == Planes::kPlaces) stored[k] = kPlaceOfIq4[stored[k]];
  }
  uint8_t* const of_row = planes + 4 * row;
  if (layout.planes == Planes::kBytes) {
    for (size_t quad = 0; quad < kQuads; ++quad) {
      std::memcpy(of_row + quad * kQuadBytes, stored + 4 * quad, 4);
    }
    return;
  }
  constexpr size_t kHalf = kBlockColumns / 2;
  for (size_t k = 0; k < kHalf; ++k) {
    of_row[k / 4 * kQuadBytes + k % 4] =
        static_cast<uint8_t>((stored[k] & 0xf) | (stored[k + kHalf] & 0xf) << 4);
  }
  uint8_t* const upper = of_row + kQuads / 2 * kQuadBytes;
  for (size_t k = 0; k < kBlockColumns; ++k) {
    const size_t quad = k / 4;
    const int bits = stored[k] >> 4;
    if (layout.planes == Planes::kHalvesAndBits) {
      upper[k % 4] = static_cast<uint8_t>(upper[k % 4] | bits << quad);
    } else if (layout.planes == Planes::kHalvesAndPairs) {
      uint8_t& to = upper[quad / 4 * kQuadBytes + k % 4];
      to = static_cast<uint8_t>(to | bits << (2 * (quad % 4)));
    }
  }
}

// A panel of blocks that is being filled, row by row.
class BlockPanel {
 public:
  BlockPanel(const BlockLayout& layout, size_t blocks, std::byte* panel)
      : layout_(layout),
        planes_(reinterpret_cast<uint8_t*>(panel)),
        integers_(planes_ + layout.integers_at(blocks)),
        scales_(reinterpret_cast<F16*>(panel + layout.scales_at(blocks))) {}

  // Blocks [first, first + count) of row `row`, which share a scale.
  void put(const BlockParts& parts, size_t count, size_t row, size_t first) {
    for (size_t i = 0; i < count; ++i) {
      put_quants(parts.quants + i * kBlockColumns, row, layout_,
                 planes_ + (first + i) * layout_.plane_bytes());
      if (layout_.group_scales) put_integers(parts, row, i, first + i);
    }
    const size_t shared = first / static_cast<size_t>(layout_.scale_blocks());
    F16* const to = scales_ + shared * (layout_.scale_bytes() / sizeof(F16)) + row;
    to[0] = parts.scale;
    if (layout_.minimums) to[kPanelRows] = parts.minimum;
  }

 private:
  void put_integers(const BlockParts& parts, size_t row, size_t i, size_t block) {
    const auto groups = static_cast<size_t>(layout_.groups());
    uint8_t* const to = integers_ + block * layout_.integer_bytes() + row;
    for (size_t g = 0; g < groups; ++g) {
      to[g * kPanelRows] = static_cast<uint8_t>(parts.scales[i * groups + g]);
    }
    if (layout_.minimums) to[groups * kPanelRows] = parts.minimums[i];
  }

  const BlockLayout& layout_;
  uint8_t* planes_;
  uint8_t* integers_;
  F16* scales_;
};

// The rows of panel p, as the checkpoint has them.
class PanelRows {
 public:
  PanelRows(const Matrix& from, int p)
      : format_(format_of(from.type)),
        blocks_(static_cast<size_t>(from.cols / format_.block_columns)),
        count_(std::min(kPanelRows, from.rows - p * kPanelRows)),
        rows_(from),
        bytes_(rows_.read(p * kPanelRows, count_)) {}

  int count() const { return count_; }
  const std::byte* bytes(int r) const {
    return bytes_ + static_cast<size_t>(r) * rows_.row_bytes();
  }
  void widen(int r, float* to) const { format_.widen(bytes(r), blocks_, to); }

 private:
  const Format& format_;
  size_t blocks_;  // of a row
  int count_;
  MatrixRows rows_;
  const std::byte* bytes_;
};

// Zeros, in the place of panel p.
std::byte* cleared_panel(void* to, int p, size_t bytes) {
  auto* const panel = static_cast<std::byte*>(to) + static_cast<size_t>(p) * bytes;
  std::memset(panel, 0, bytes);
  return panel;
}

}  // namespace

template <typename Number>
void pack_numbers(const Matrix& from, int p, void* to) {
  constexpr size_t kSideBySide = std::is_same_v<Number, BF16> ? 2 : 1;  // columns
  auto* const panel = reinterpret_cast<Number*>(
      cleared_panel(to, p, panel_bytes_of_numbers(sizeof(Number), from.cols)));
  const auto cols = static_cast<size_t>(from.cols);
  std::vector<float> row(cols);
  const PanelRows rows(from, p);
  for (int r = 0; r < rows.count(); ++r) {
    rows.widen(r, row.data());
    for (size_t k = 0; k < cols; ++k) {
      const size_t before = k / kSideBySide * kPanelRows + static_cast<size_t>(r);
      put(row[k], panel[before * kSideBySide + k % kSideBySide]);
    }
  }
}

template void pack_numbers<float>(const Matrix&, int, void*);
template void pack_numbers<F16>(const Matrix&, int, void*);
template void pack_numbers<BF16>(const Matrix&, int, void*);

void pack_blocks(const Matrix& from, int p, const BlockLayout& layout, void* to) {
  const size_t blocks = blocks_of(from.cols);
  BlockPanel panel(layout, blocks, cleared_panel(to, p, layout.panel_bytes(blocks)));
  const Format& format = format_of(from.type);
  const auto blocks_at_once = static_cast<size_t>(format.block_columns / kBlockColumns);
  BlockParts parts;
  const PanelRows rows(from, p);
  for (int r = 0; r < rows.count(); ++r) {
    const std::byte* block = rows.bytes(r);
    for (size_t i = 0; i < blocks; i += blocks_at_once, block += format.block_bytes) {
      format.unpack(block, parts);
      panel.put(parts, blocks_at_once, static_cast<size_t>(r), i);
    }
  }
}

void pack_rounded(const Matrix& from, int p, void* to) {
  const size_t blocks = blocks_of(from.cols);
  const BlockLayout& layout = kLayoutQ8_0;
  BlockPanel panel(layout, blocks, cleared_panel(to, p, layout.panel_bytes(blocks)));
  std::vector<float> row(blocks * kBlockColumns);
  BlockParts parts;
  const PanelRows rows(from, p);
  for (int r = 0; r < rows.count(); ++r) {
    rows.widen(r, row.data());
    for (size_t i = 0; i < blocks; ++i) {
      round_to_q8_0(row.data() + i * kBlockColumns, parts);
      panel.put(parts, 1, static_cast<size_t>(r), i);
    }
  }
}

}  // namespace orthrus::cpu
