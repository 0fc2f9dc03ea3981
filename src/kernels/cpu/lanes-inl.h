// Sixteen floats side by side, whatever the width of the registers: one of AVX-512, two of AVX2,
// four of NEON or SSE4. Included once for each instruction set (Highway's foreach_target.h).
//
// Every sum within a row is sixteen running sums, one for each lane, and then one fixed tree. So
// the instruction set is one more thing that bits do not depend on, where it has a fused
// multiply-add.
#if defined(ORTHRUS_KERNELS_CPU_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ORTHRUS_KERNELS_CPU_LANES_INL_H_
#undef ORTHRUS_KERNELS_CPU_LANES_INL_H_
#else
#define ORTHRUS_KERNELS_CPU_LANES_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/layouts.h"

HWY_BEFORE_NAMESPACE();
namespace orthrus::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// A register of floats, at most sixteen of them; kRegisters registers are the sixteen lanes.
using DF = hn::CappedTag<float, kLanes>;
using VF = hn::Vec<DF>;
inline constexpr DF kF;
inline constexpr int kWidth = HWY_MIN(kLanes, HWY_MAX_BYTES / static_cast<int>(sizeof(float)));
inline constexpr int kRegisters = kLanes / kWidth;

HWY_INLINE VF load(const float* p) {
  return hn::LoadU(kF, p);
}
HWY_INLINE VF load(const F16* p) {
  const hn::Rebind<hwy::float16_t, DF> half;
  return hn::PromoteTo(kF, hn::LoadU(half, reinterpret_cast<const hwy::float16_t*>(p)));
}
HWY_INLINE VF load(const BF16* p) {
  const hn::Rebind<uint16_t, DF> narrow;
  const hn::Rebind<uint32_t, DF> wide;
  const auto bits = hn::PromoteTo(wide, hn::LoadU(narrow, reinterpret_cast<const uint16_t*>(p)));
  return hn::BitCast(kF, hn::ShiftLeft<16>(bits));
}

// exp(x): relative error below 2e-7 for x in [-87, 88]; below it flattens out at exp(-87), above at
// exp(88). Every operation is a plain IEEE one, so that all lanes of all targets agree.
HWY_INLINE VF exp(VF x) {
  const auto constant = [](float c) { return hn::Set(kF, c); };
  constexpr float kLn2High = 0x1.62e4p-1f;    // few enough bits that n * kLn2High is exact
  constexpr float kLn2Low = 0x1.7f7d1cp-20f;  // ln 2 - kLn2High
  constexpr float kRound = 0x1.8p23f;         // adding it leaves the nearest integer
  x = hn::Min(hn::Max(x, constant(-87.0f)), constant(88.0f));
  const VF shifted = hn::Add(hn::Mul(x, constant(0x1.715476p+0f)), constant(kRound));  // log2(e)
  const VF n = hn::Sub(shifted, constant(kRound));
  const VF r = hn::Sub(hn::Sub(x, hn::Mul(n, constant(kLn2High))), hn::Mul(n, constant(kLn2Low)));
  // |r| <= ln 2 / 2. Taylor's series about 0 to r^7: its first missing term is below 6e-9 there.
  VF p = constant(1.0f / 5040);
  p = hn::Add(hn::Mul(p, r), constant(1.0f / 720));
  p = hn::Add(hn::Mul(p, r), constant(1.0f / 120));
  p = hn::Add(hn::Mul(p, r), constant(1.0f / 24));
  p = hn::Add(hn::Mul(p, r), constant(1.0f / 6));
  p = hn::Add(hn::Mul(p, r), constant(0.5f));
  p = hn::Add(hn::Mul(p, r), constant(1.0f));
  p = hn::Add(hn::Mul(p, r), constant(1.0f));
  const hn::RebindToUnsigned<DF> u;
  const auto bits = hn::Add(hn::BitCast(u, shifted), hn::Set(u, 127u));
  return hn::Mul(p, hn::BitCast(kF, hn::ShiftLeft<23>(bits)));  // times 2^n
}

using D4 = hn::FixedTag<float, 4>;
using V4 = hn::Vec<D4>;
inline constexpr D4 k4;

// s[j] = (v[j] + v[j + 8]) + (v[j + 4] + v[j + 12]) of sixteen lanes v.
HWY_INLINE V4 fold(const float* HWY_RESTRICT lanes) {
#if HWY_MAX_BYTES >= 64
  const VF v = hn::Load(kF, lanes);
  const hn::Half<DF> k8;
  const auto s = hn::Add(hn::LowerHalf(k8, v), hn::UpperHalf(k8, v));
  return hn::Add(hn::LowerHalf(k4, s), hn::UpperHalf(k4, s));
#elif HWY_MAX_BYTES == 32
  const auto s = hn::Add(hn::Load(kF, lanes), hn::Load(kF, lanes + 8));
  return hn::Add(hn::LowerHalf(k4, s), hn::UpperHalf(k4, s));
#else
  return hn::Add(hn::Add(hn::Load(k4, lanes), hn::Load(k4, lanes + 8)),
                 hn::Add(hn::Load(k4, lanes + 4), hn::Load(k4, lanes + 12)));
#endif
}

// The sum of sixteen lanes: of the fold, (s[0] + s[2]) + (s[1] + s[3]).
HWY_INLINE float sum_of(const float* HWY_RESTRICT lanes) {
  HWY_ALIGN float s[4];
  hn::Store(fold(lanes), k4, s);
  return (s[0] + s[2]) + (s[1] + s[3]);
}

}  // namespace orthrus::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
