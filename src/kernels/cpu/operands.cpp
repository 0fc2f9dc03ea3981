// Rows of activations in the forms that weights want.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/operands.cpp"
#include <hwy/foreach_target.h>
// The above must be first.
#include <hwy/highway.h>

#include <bit>
#include <cstring>
#include <iterator>

#include "kernels/cpu/pair_dot-inl.h"
#include "kernels/cpu/products.h"

HWY_BEFORE_NAMESPACE();
namespace orthrus::cpu::HWY_NAMESPACE {
namespace {

// To the nearest, ties to even; as the bits of a float32.
HWY_INLINE auto rounded_to_bf16(VF x) {
  const hn::RebindToUnsigned<DF> u;
  const auto bits = hn::BitCast(u, x);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(u, 1u));
  const auto up = hn::Add(hn::Add(bits, hn::Set(u, 0x7fffu)), odd);
  return hn::And(up, hn::Set(u, 0xffff0000u));
}

void prepare_bf16(const float* x, int cols, std::byte* to) {
  const hn::RebindToSigned<DF> wide;
  const hn::Rebind<uint16_t, DF> narrow;
  const bool pairs = uses_pair_dot();
  HWY_ALIGN float last[kWidth] = {};
  for (int k = 0; k < cols; k += kWidth) {
    const float* from = x + k;
    if (cols - k < kWidth) {
      std::memcpy(last, from, (cols - k) * sizeof(float));
      from = last;
    }
    const auto rounded = rounded_to_bf16(load(from));
    if (pairs) {
      const auto high = hn::BitCast(wide, hn::ShiftRight<16>(rounded));
      hn::StoreU(hn::DemoteTo(narrow, high), narrow, reinterpret_cast<uint16_t*>(to) + k);
    } else {
      hn::StoreU(hn::BitCast(kF, rounded), kF, reinterpret_cast<float*>(to) + k);
    }
  }
}

void prepare_blocks(const float* x, int cols, ActivationBlock* to, int step) {
  const hn::RebindToSigned<DF> wide;
  const hn::Rebind<int8_t, DF> narrow;
  HWY_ALIGN float last[kBlockColumns] = {};
  for (size_t i = 0; i < blocks_of(cols); ++i) {
    const float* from = x + i * kBlockColumns;
    if (const int left = cols - static_cast<int>(i) * kBlockColumns; left < kBlockColumns) {
      std::memcpy(last, from, left * sizeof(float));
      from = last;
    }
    // Magnitudes are in the order of their bits, and those of a NaN are the largest: so that one
    // makes the scale, and with it every product of the block, NaN.
    auto largest = hn::Zero(wide);
    for (int k = 0; k < kBlockColumns; k += kWidth) {
      largest = hn::Max(largest, hn::BitCast(wide, hn::Abs(load(from + k))));
    }
    ActivationBlock& block = to[i * step];
    block.scale = std::bit_cast<float>(hn::GetLane(hn::MaxOfLanes(wide, largest))) / 127.0f;
    const VF inverse = hn::Set(kF, block.scale > 0 ? 1.0f / block.scale : 0.0f);
    constexpr int kHalf = kBlockColumns / 2;
    int32_t sums[2];
    for (int half = 0; half < 2; ++half) {
      auto sum = hn::Zero(wide);
      for (int k = half * kHalf; k < (half + 1) * kHalf; k += kWidth) {
        const VF scaled = hn::Mul(load(from + k), inverse);
        const auto q = hn::NearestInt(hn::IfThenElseZero(hn::Eq(scaled, scaled), scaled));
        sum = hn::Add(sum, q);
        hn::StoreU(hn::DemoteTo(narrow, q), narrow, block.quants + k);
      }
      sums[half] = hn::GetLane(hn::SumOfLanes(wide, sum));
    }
    const int32_t sum = sums[0] + sums[1];
    block.scaled_sum = block.scale * static_cast<float>(sum);
    for (size_t o = 0; o < std::size(kOffsets); ++o) block.starts[o] = -kOffsets[o] * sum;
    for (int half = 0; half < 2; ++half) block.half_starts[half] = -kHalfOffset * sums[half];
  }
}

}  // namespace
}  // namespace orthrus::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace orthrus::cpu {

HWY_EXPORT(prepare_bf16);
HWY_EXPORT(prepare_blocks);

void round_to_bf16(const float* x, int cols, std::byte* to) {
  HWY_DYNAMIC_DISPATCH(prepare_bf16)(x, cols, to);
}
void round_to_blocks(const float* x, int cols, ActivationBlock* to, int step) {
  HWY_DYNAMIC_DISPATCH(prepare_blocks)(x, cols, to, step);
}

}  // namespace orthrus::cpu
#endif  // HWY_ONCE
