// Each row of logits in one fixed order of operations.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/logits.cpp"
#include <hwy/foreach_target.h>
// The above must be first.
#include <hwy/highway.h>

#include <algorithm>
#include <limits>

#include "kernels/cpu/lanes-inl.h"
#include "kernels/cpu/logits.h"

HWY_BEFORE_NAMESPACE();
namespace orthrus::cpu::HWY_NAMESPACE {
namespace {

using DD = hn::RepartitionToWide<DF>;
using VD = hn::Vec<DD>;
constexpr DD kD;
constexpr hn::Half<DF> kHalf;

// The sixteen floats at p, or the first `count` of them and then `filler`. Of whole ones no copy.
HWY_INLINE const float* lanes_at(const float* p, size_t count, float filler, float* copy) {
  if (count >= kLanes) return p;
  std::fill(std::copy_n(p, count, copy), copy + kLanes, filler);
  return copy;
}

bool largest_of_tiles(const float* row, size_t n, float* largest) {
  HWY_ALIGN float copy[kLanes];
  VF poison = hn::Zero(kF);  // what is not finite is not 0 less itself
  for (size_t tile = 0; tile < n; tile += kLogitTile) {
    const size_t end = HWY_MIN(tile + kLogitTile, n);
    VF most = hn::Set(kF, row[tile]);
    for (size_t i = tile; i < end; i += kLanes) {
      const float* at = lanes_at(row + i, end - i, row[tile], copy);
      for (int lane = 0; lane < kLanes; lane += kWidth) {
        const VF v = load(at + lane);
        most = hn::Max(most, v);
        poison = hn::Add(poison, hn::Sub(v, v));
      }
    }
    *largest++ = hn::GetLane(hn::MaxOfLanes(kF, most));
  }
  return hn::AllTrue(kF, hn::Eq(poison, hn::Zero(kF)));
}

// Sixteen running sums over i % 16, in double, then halves onto halves.
double sum_of_exp(const float* row, size_t n, float most) {
  HWY_ALIGN float copy[kLanes];
  const VF mosts = hn::Set(kF, most);
  VD low[kRegisters], high[kRegisters];
  for (int r = 0; r < kRegisters; ++r) low[r] = high[r] = hn::Zero(kD);
  for (size_t i = 0; i < n; i += kLanes) {
    constexpr float kNothing = -std::numeric_limits<float>::infinity();
    const float* at = lanes_at(row + i, n - i, kNothing, copy);
    for (int r = 0; r < kRegisters; ++r) {
      const VF e = exp(hn::Sub(load(at + r * kWidth), mosts));
      low[r] = hn::Add(low[r], hn::PromoteTo(kD, hn::LowerHalf(kHalf, e)));
      high[r] = hn::Add(high[r], hn::PromoteTo(kD, hn::UpperHalf(kHalf, e)));
    }
  }
  HWY_ALIGN double lanes[kLanes];
  for (int r = 0; r < kRegisters; ++r) {
    hn::Store(low[r], kD, lanes + r * kWidth);
    hn::Store(high[r], kD, lanes + r * kWidth + kWidth / 2);
  }
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

}  // namespace
}  // namespace orthrus::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace orthrus::cpu {

HWY_EXPORT(largest_of_tiles);
HWY_EXPORT(sum_of_exp);

bool largest_of_tiles(std::span<const float> row, std::span<float> largest) {
  return HWY_DYNAMIC_DISPATCH(largest_of_tiles)(row.data(), row.size(), largest.data());
}

double sum_of_exp(std::span<const float> row, float most) {
  return HWY_DYNAMIC_DISPATCH(sum_of_exp)(row.data(), row.size(), most);
}

}  // namespace orthrus::cpu
#endif  // HWY_ONCE
