// Weights of a block format in registers (layouts.h), and how their products are added up.
#if defined(ORTHRUS_KERNELS_CPU_BLOCK_WEIGHTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ORTHRUS_KERNELS_CPU_BLOCK_WEIGHTS_INL_H_
#undef ORTHRUS_KERNELS_CPU_BLOCK_WEIGHTS_INL_H_
#else
#define ORTHRUS_KERNELS_CPU_BLOCK_WEIGHTS_INL_H_
#endif

#include "kernels/cpu/layouts.h"
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

// What IQ4_NL and IQ4_XS choose from, with the offset of eight bits.
struct Iq4Bytes {
  constexpr Iq4Bytes() {
    for (int i = 0; i < 16; ++i) of[i] = static_cast<uint8_t>(kIq4Values[i] + 128);
  }
  alignas(16) uint8_t of[16] = {};
};
constexpr Iq4Bytes kIq4Bytes;

// Weights of quad Q of a block, `L.offset` more each. The planes are there for the register's rows.
template <BlockLayout L, int Q>
HWY_INLINE VU8 weight_bytes(const uint8_t* planes) {
  if constexpr (L.planes == Planes::kBytes) {
    return load_bytes(planes + Q * kQuadBytes);
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
      return hn::TableLookupBytes(hn::LoadDup128(DU8(), kIq4Bytes.of), low);
    } else {
      return low;
    }
  }
}

// Where a register's rows are in a panel.
struct PanelPlace {
  const uint8_t* planes;
  const uint8_t* integers;
  const F16* scales;
};

// In its first block. The register's rows begin with `row`.
template <BlockLayout L>
HWY_INLINE PanelPlace panel_place(const std::byte* panel, size_t blocks, int row) {
  const auto* const bytes = reinterpret_cast<const uint8_t*>(panel);
  return {bytes + 4 * row, bytes + L.integers_at(blocks) + row,
          reinterpret_cast<const F16*>(panel + L.scales_at(blocks)) + row};
}

template <BlockLayout L>
HWY_INLINE void next_block(PanelPlace& w) {
  w.planes += L.plane_bytes();
  w.integers += L.integer_bytes();
}

// What lies `ahead` bytes further on is brought into L2.
template <size_t kBytes>
HWY_INLINE void prefetch(const void* p, size_t ahead) {
  for (size_t at = 0; at < kBytes; at += 64) {
    __builtin_prefetch(static_cast<const std::byte*>(p) + ahead + at, 0, 2);
  }
}
template <BlockLayout L>
HWY_INLINE void prefetch_block(const PanelPlace& w, size_t ahead) {
  prefetch<L.plane_bytes()>(w.planes, ahead);
  prefetch<L.integer_bytes()>(w.integers, ahead);
}

// The f16 of blocks that share them.
struct SharedScales {
  VF scale, minimum;
};

// Of the next blocks.
template <BlockLayout L>
HWY_INLINE SharedScales next_scales(PanelPlace& w) {
  const F16* const at = w.scales;
  w.scales += L.scale_bytes() / sizeof(F16);
  return {load(at), L.minimums ? load(at + kPanelRows) : hn::Zero(kF)};
}

// Small integers of a register's rows, as floats.
template <typename Integer>
HWY_INLINE VF load_integers(const uint8_t* p) {
  const hn::Rebind<Integer, DF> narrow;
  return hn::ConvertTo(kF,
                       hn::PromoteTo(DI(), hn::LoadU(narrow, reinterpret_cast<const Integer*>(p))));
}

// The scale of group `g` of a block, and the block's minimum: exact.
template <BlockLayout L>
HWY_INLINE VF group_scale(const PanelPlace& w, const SharedScales& shared, int g) {
  if constexpr (!L.group_scales) return shared.scale;
  return hn::Mul(shared.scale, load_integers<int8_t>(w.integers + g * kPanelRows));
}
template <BlockLayout L>
HWY_INLINE VF block_minimum(const PanelPlace& w, const SharedScales& shared) {
  static_assert(L.minimums && L.groups() == 1);
  return hn::Mul(shared.minimum, load_integers<uint8_t>(w.integers + kPanelRows));
}

// A group of columns enters the sum of an output: its dot product of integers, then its minimum.
HWY_INLINE void add_group(VI dot, VF scale, const ActivationBlock& x, VF& sum) {
  const VF both = hn::Mul(scale, hn::Set(kF, x.scale));
  sum = hn::MulAdd(hn::ConvertTo(kF, dot), both, sum);
}
HWY_INLINE void subtract_minimum(VF minimum, const ActivationBlock& x, VF& sum) {
  sum = hn::NegMulAdd(minimum, hn::Set(kF, x.scaled_sum), sum);
}

}  // namespace
}  // namespace orthrus::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
