// Products with weights of a block format, and activations of 8 bits (layouts.h).
//
// An output is one running sum, from zero, over ascending groups of columns that share a scale. Of
// each group it takes
//     sum = fma(float(dot), scale * x_scale, sum)
//     sum = fma(-minimum, x_scaled_sum, sum), where the format has minimums
// where `dot` is the exact dot product of integers, `scale` and `minimum` are exact products of the
// file's f16 and its integers, and x_scaled_sum is x_scale times the sum of the group's
// activations. It stands in one lane of a register whose other lanes are outputs of neighbouring
// rows, and tokens that share a tile share loads alone: so bits depend on nothing else.
//
// Each format is compiled in a file of its own (blocks/), all of the same lines: Highway compiles a
// file once for each instruction set, and so the formats are compiled side by side.
#if defined(ORTHRUS_KERNELS_CPU_BLOCK_PRODUCTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ORTHRUS_KERNELS_CPU_BLOCK_PRODUCTS_INL_H_
#undef ORTHRUS_KERNELS_CPU_BLOCK_PRODUCTS_INL_H_
#else
#define ORTHRUS_KERNELS_CPU_BLOCK_PRODUCTS_INL_H_
#endif

#include <algorithm>

#include "kernels/cpu/block_weights-inl.h"
#include "kernels/cpu/products.h"

HWY_BEFORE_NAMESPACE();
namespace orthrus::cpu::HWY_NAMESPACE {
namespace {

// Adds the products of quads [Q, kEnd) of a block.
template <BlockLayout L, int Q, int kEnd, int T>
HWY_INLINE void add_quads(const uint8_t* planes, const ActivationBlock* x, VI (&dots)[T]) {
  if constexpr (Q < kEnd) {
    const VU8 bytes = weight_bytes<L, Q>(planes);
    const auto add = [&](const auto& w) HWY_ATTR {
      HWY_UNROLL(16)
      for (int t = 0; t < T; ++t) {
        dots[t] = quad_dot(dots[t], w, four_quants(x[t].quants + 4 * Q));
      }
    };
    if constexpr (L.eight_bits()) {
      add(wide_quads(bytes));
    } else {
      add(bytes);
    }
    add_quads<L, Q + 1, kEnd, T>(planes, x, dots);
  }
}

// Where the dot product of group G begins.
template <BlockLayout L, int G>
HWY_INLINE VI start(const ActivationBlock& x) {
  if constexpr (L.offset == 0 || (L.eight_bits() && kWideOffset == 0)) {
    return hn::Zero(DI());
  } else if constexpr (L.groups() == 1) {
    return hn::Set(DI(), x.starts[start_of(L.offset)]);
  } else {
    static_assert(L.offset == kHalfOffset);
    return hn::Set(DI(), x.half_starts[G]);
  }
}

// Adds the products of group G and those after it in a block.
template <BlockLayout L, int G, int T>
HWY_INLINE void add_groups(const PanelPlace& w, const ActivationBlock* x,
                           const SharedScales& shared, VF (&acc)[T]) {
  constexpr int kGroupQuads = L.group_columns / 4;
  VI dots[T];
  HWY_UNROLL(16)
  for (int t = 0; t < T; ++t) dots[t] = start<L, G>(x[t]);
  add_quads<L, G * kGroupQuads, (G + 1) * kGroupQuads, T>(w.planes, x, dots);
  const VF scale = group_scale<L>(w, shared, G);
  HWY_UNROLL(16)
  for (int t = 0; t < T; ++t) add_group(dots[t], scale, x[t], acc[t]);
  if constexpr (L.minimums) {
    const VF minimum = block_minimum<L>(w, shared);
    HWY_UNROLL(16)
    for (int t = 0; t < T; ++t) subtract_minimum(minimum, x[t], acc[t]);
  }
  if constexpr (G + 1 < L.groups()) add_groups<L, G + 1, T>(w, x, shared, acc);
}

// Products of a panel's rows with T tokens, whose blocks begin at x[0..T) and go on `step` further.
// The next panel is `ahead` bytes on, 0 for none.
template <BlockLayout L, int T>
HWY_NOINLINE void multiply_panel(const ActivationBlock* first, size_t step, const std::byte* panel,
                                 size_t blocks, size_t ahead, float* sums) {
  constexpr size_t kShared = L.scale_blocks();
  for (int r = 0; r < kRegisters; ++r) {
    PanelPlace w = panel_place<L>(panel, blocks, r * kWidth);
    const ActivationBlock* x = first;
    VF acc[T];
    for (int t = 0; t < T; ++t) acc[t] = hn::Zero(kF);
    for (size_t i = 0; i < blocks; i += kShared) {
      if (r == 0) prefetch<L.scale_bytes()>(w.scales, ahead);
      const SharedScales shared = next_scales<L>(w);
      for (size_t j = 0; j < kShared; ++j) {
        if (r == 0) prefetch_block<L>(w, ahead);
        add_groups<L, 0, T>(w, x, shared, acc);
        next_block<L>(w);
        x += step;
      }
    }
    for (int t = 0; t < T; ++t) hn::Store(acc[t], kF, sums + t * kStripRows + r * kWidth);
  }
}

using MultiplyPanel = void (*)(const ActivationBlock*, size_t, const std::byte*, size_t, size_t,
                               float*);

// Tiles of so many tokens there are; others go with the next larger one, since an operand's tile
// has as many. Where there are 32 registers a tile's dot products fit them.
constexpr bool kLargeTiles = HWY_MAX_BYTES >= 64;
constexpr int kTileTokens = kLargeTiles ? 16 : 4;

// The smallest for so many, or the largest.
template <BlockLayout L>
MultiplyPanel multiply_for(int tokens) {
  if constexpr (kLargeTiles) {
    if (tokens > 12) return multiply_panel<L, 16>;
    if (tokens > 8) return multiply_panel<L, 12>;
    if (tokens > 6) return multiply_panel<L, 8>;
    if (tokens > 4) return multiply_panel<L, 6>;
  }
  if (tokens > 3) return multiply_panel<L, 4>;
  if (tokens > 2) return multiply_panel<L, 3>;
  if (tokens > 1) return multiply_panel<L, 2>;
  return multiply_panel<L, 1>;
}

template <BlockLayout L>
void multiply_blocks(const Operand& x, const Matrix& matrix, const StripPlace& place,
                     Strip& strip) {
  const size_t blocks = blocks_of(matrix.cols);
  const size_t panel_bytes = L.panel_bytes(blocks);
  for (int t = 0; t < place.tokens; t += kTileTokens) {
    const MultiplyPanel multiply = multiply_for<L>(std::min(kTileTokens, place.tokens - t));
    for (int p = 0; p < place.panels; ++p) {
      const int at = place.panel + p;
      const bool last = at + 1 == place.end || t > 0;
      multiply(x.blocks(place.first + t), tile_rows(x.rows),
               static_cast<const std::byte*>(matrix.data) + panel_bytes * at, blocks,
               last ? 0 : panel_bytes, strip.of[t] + p * kPanelRows);
    }
  }
}

// A panel's weights stay in L1 or L2 for all tokens of a strip, and where those are many, a tile's
// activations for several panels.
template <BlockLayout L>
const Products& block_products() {
  static_assert(kStripTokens % kMostTileRows == 0 && kMostTileRows % kTileTokens == 0);
  constexpr auto panels = [](int tokens) { return tokens > kMostTileRows ? kStripPanels : 1; };
  static constexpr Products kProducts{panels, multiply_blocks<L>};
  return kProducts;
}

}  // namespace
}  // namespace orthrus::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
