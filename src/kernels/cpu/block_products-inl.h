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
#if defined(ORTHRUS_KERNELS_CPU_BLOCK_PRODUCTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ORTHRUS_KERNELS_CPU_BLOCK_PRODUCTS_INL_H_
#undef ORTHRUS_KERNELS_CPU_BLOCK_PRODUCTS_INL_H_
#else
#define ORTHRUS_KERNELS_CPU_BLOCK_PRODUCTS_INL_H_
#endif

#include <algorithm>
#include <cstring>

#include "kernels/cpu/products.h"
#include "kernels/cpu/quad_dot-inl.h"
#include "kernels/formats/blocks.h"

HWY_BEFORE_NAMESPACE();
namespace orthrus::cpu::HWY_NAMESPACE {
namespace {

// The bytes of a quad of all rows, and those of one bit of all quants.
constexpr int kQuadBytes = 4 * kPanelRows;

HWY_INLINE VU8 load_bytes(const uint8_t* p) {
  return hn::LoadU(DU8(), p);
}

// Each byte's bits [kFrom, kFrom + ...) moved to [kTo, ...); what else is in the byte is anything.
template <int kFrom, int kTo>
HWY_INLINE VU8 move_bits(VU8 bytes) {
  const hn::Repartition<uint16_t, DU8> u16;
  const auto words = hn::BitCast(u16, bytes);
  if constexpr (kFrom < kTo) return hn::BitCast(DU8(), hn::ShiftLeft<kTo - kFrom>(words));
  if constexpr (kFrom > kTo) return hn::BitCast(DU8(), hn::ShiftRight<kFrom - kTo>(words));
  return bytes;
}

// Weights of quad Q of a block, whose planes are there for the register's rows.
template <BlockLayout L, int Q>
HWY_INLINE auto weights(const uint8_t* planes) {
  if constexpr (L.planes == Planes::kBytes) {
    return wide_quads(load_bytes(planes + Q * kQuadBytes));
  } else {
    const VU8 halves = load_bytes(planes + Q % 4 * kQuadBytes);
    const VU8 low = hn::And(move_bits<Q / 4 * 4, 0>(halves), hn::Set(DU8(), 0x0f));
    if constexpr (L.planes == Planes::kHalvesAndBits) {
      const VU8 bits = load_bytes(planes + 4 * kQuadBytes);
      return hn::OrAnd(low, move_bits<Q, 4>(bits), hn::Set(DU8(), 0x10));
    } else if constexpr (L.planes == Planes::kHalvesAndPairs) {
      const VU8 pairs = load_bytes(planes + (4 + Q / 4) * kQuadBytes);
      return hn::OrAnd(low, move_bits<Q % 4 * 2, 4>(pairs), hn::Set(DU8(), 0x30));
    } else if constexpr (L.planes == Planes::kPlaces) {
      HWY_ALIGN static constexpr uint8_t kValues[16] = {
          kIq4Values[0] + 128,  kIq4Values[1] + 128,  kIq4Values[2] + 128,  kIq4Values[3] + 128,
          kIq4Values[4] + 128,  kIq4Values[5] + 128,  kIq4Values[6] + 128,  kIq4Values[7] + 128,
          kIq4Values[8] + 128,  kIq4Values[9] + 128,  kIq4Values[10] + 128, kIq4Values[11] + 128,
          kIq4Values[12] + 128, kIq4Values[13] + 128, kIq4Values[14] + 128, kIq4Values[15] + 128};
      return wide_quads(hn::TableLookupBytes(hn::LoadDup128(DU8(), kValues), low));
    } else {
      return low;
    }
  }
}

// Adds the products of quads [Q, kEnd) of a block.
template <BlockLayout L, int Q, int kEnd, int T>
HWY_INLINE void add_quads(const uint8_t* planes, const ActivationBlock* const (&x)[T],
                          VI (&dots)[T]) {
  if constexpr (Q < kEnd) {
    const auto w = weights<L, Q>(planes);
    HWY_UNROLL(16)
    for (int t = 0; t < T; ++t) {
      dots[t] = quad_dot(dots[t], w, four_quants(x[t]->quants + 4 * Q));
    }
    add_quads<L, Q + 1, kEnd, T>(planes, x, dots);
  }
}

// Sixteen small integers, those of a register's rows, as floats.
template <typename Integer>
HWY_INLINE VF load_integers(const uint8_t* p) {
  const hn::Rebind<Integer, DF> narrow;
  return hn::ConvertTo(kF,
                       hn::PromoteTo(DI(), hn::LoadU(narrow, reinterpret_cast<const Integer*>(p))));
}

// Where a register's rows are in a panel.
struct PanelPlace {
  const uint8_t* planes;
  const uint8_t* integers;
  const F16* scales;
};

// Adds the products of group G and those after it in a block. `scale` and `minimum` are those of
// the blocks that share them.
template <BlockLayout L, int G, int T>
HWY_INLINE void add_groups(const PanelPlace& w, const ActivationBlock* const (&x)[T], VF scale,
                           VF minimum, VF (&acc)[T]) {
  constexpr int kGroupQuads = L.group_columns / 4;
  constexpr int kOffset = L.eight_bits() ? kWideOffset : L.offset;
  VI dots[T];
  HWY_UNROLL(16)
  for (int t = 0; t < T; ++t) {
    const int32_t sum = L.groups() == 1 ? x[t]->sums[0] + x[t]->sums[1] : x[t]->sums[G];
    dots[t] = kOffset == 0 ? hn::Zero(DI()) : hn::Set(DI(), -kOffset * sum);
  }
  add_quads<L, G * kGroupQuads, (G + 1) * kGroupQuads, T>(w.planes, x, dots);
  VF of_group = scale;
  if constexpr (L.group_scales) {
    of_group = hn::Mul(scale, load_integers<int8_t>(w.integers + G * kPanelRows));
  }
  HWY_UNROLL(16)
  for (int t = 0; t < T; ++t) {
    const VF both = hn::Mul(of_group, hn::Set(kF, x[t]->scale));
    acc[t] = hn::MulAdd(hn::ConvertTo(kF, dots[t]), both, acc[t]);
  }
  if constexpr (L.minimums) {
    static_assert(L.groups() == 1);
    const VF of_block = hn::Mul(minimum, load_integers<uint8_t>(w.integers + kPanelRows));
    HWY_UNROLL(16)
    for (int t = 0; t < T; ++t) {
      acc[t] = hn::NegMulAdd(of_block, hn::Set(kF, x[t]->scaled_sum), acc[t]);
    }
  }
  if constexpr (G + 1 < L.groups()) add_groups<L, G + 1, T>(w, x, scale, minimum, acc);
}

// What lies a panel further on is brought into L2 on the way.
template <size_t kBytes>
HWY_INLINE void prefetch(const void* p, size_t ahead) {
  for (size_t at = 0; at < kBytes; at += 64) {
    __builtin_prefetch(static_cast<const std::byte*>(p) + ahead + at, 0, 2);
  }
}

// Products of a panel's rows with T tokens. The next panel is `ahead` bytes on, 0 for none.
template <BlockLayout L, int T>
HWY_NOINLINE void multiply_panel(const ActivationBlock* const* rows, const std::byte* panel,
                                 size_t blocks, size_t ahead, float* sums) {
  constexpr size_t kShared = L.scale_blocks();
  for (int r = 0; r < kRegisters; ++r) {
    const int lane = r * kWidth;
    PanelPlace w{reinterpret_cast<const uint8_t*>(panel) + 4 * lane,
                 reinterpret_cast<const uint8_t*>(panel) + L.integers_at(blocks) + lane,
                 reinterpret_cast<const F16*>(panel + L.scales_at(blocks)) + lane};
    const ActivationBlock* x[T];
    VF acc[T];
    for (int t = 0; t < T; ++t) {
      x[t] = rows[t];
      acc[t] = hn::Zero(kF);
    }
    for (size_t i = 0; i < blocks; i += kShared) {
      const VF scale = load(w.scales);
      const VF minimum = L.minimums ? load(w.scales + kPanelRows) : hn::Zero(kF);
      if (r == 0) prefetch<L.scale_bytes()>(w.scales, ahead);
      w.scales += L.scale_bytes() / sizeof(F16);
      for (size_t j = 0; j < kShared; ++j) {
        if (r == 0) {
          prefetch<L.plane_bytes()>(w.planes, ahead);
          prefetch<L.integer_bytes()>(w.integers, ahead);
        }
        add_groups<L, 0, T>(w, x, scale, minimum, acc);
        w.planes += L.plane_bytes();
        w.integers += L.integer_bytes();
        for (int t = 0; t < T; ++t) ++x[t];
      }
    }
    for (int t = 0; t < T; ++t) hn::Store(acc[t], kF, sums + t * kStripRows + lane);
  }
}

using MultiplyPanel = void (*)(const ActivationBlock* const*, const std::byte*, size_t, size_t,
                               float*);

// Tiles of so many tokens there are; others go with the next larger one. Where there are 32
// registers a tile's dot products fit them.
constexpr bool kLargeTiles = HWY_MAX_BYTES >= 64;
constexpr int kTileTokens = kLargeTiles ? 16 : 4;

struct Tile {
  int tokens;
  MultiplyPanel multiply;
};

// The smallest for so many, or the largest.
template <BlockLayout L>
Tile tile_for(int tokens) {
  if constexpr (kLargeTiles) {
    if (tokens > 12) return {16, multiply_panel<L, 16>};
    if (tokens > 8) return {12, multiply_panel<L, 12>};
    if (tokens > 6) return {8, multiply_panel<L, 8>};
    if (tokens > 4) return {6, multiply_panel<L, 6>};
  }
  if (tokens > 3) return {4, multiply_panel<L, 4>};
  if (tokens > 2) return {3, multiply_panel<L, 3>};
  if (tokens > 1) return {2, multiply_panel<L, 2>};
  return {1, multiply_panel<L, 1>};
}

template <BlockLayout L>
void multiply_blocks(const Operand& x, const Matrix& matrix, const StripPlace& place,
                     Strip& strip) {
  const size_t blocks = blocks_of(matrix.cols);
  const size_t panel_bytes = L.panel_bytes(blocks);
  const ActivationBlock* rows[kTileTokens];
  for (int t = 0; t < place.tokens; t += kTileTokens) {
    const int tokens = std::min(kTileTokens, place.tokens - t);
    const Tile tile = tile_for<L>(tokens);
    // What a tile has too many tokens is the last one again.
    for (int i = 0; i < tile.tokens; ++i) {
      rows[i] = reinterpret_cast<const ActivationBlock*>(
          x.row(place.first + t + std::min(i, tokens - 1)));
    }
    for (int p = 0; p < place.panels; ++p) {
      const int at = place.panel + p;
      const bool last = at + 1 == place.end || t > 0;
      tile.multiply(rows, static_cast<const std::byte*>(matrix.data) + panel_bytes * at, blocks,
                    last ? 0 : panel_bytes, strip.of[t] + p * kPanelRows);
    }
  }
}

// A panel's weights stay in L1 for all tokens of a strip.
template <BlockLayout L>
const Products& block_products() {
  static_assert(kStripTokens % kTileTokens == 0);
  static constexpr Products kProducts{[](int) { return 1; }, multiply_blocks<L>};
  return kProducts;
}

}  // namespace
}  // namespace orthrus::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
