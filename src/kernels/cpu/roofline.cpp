#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/roofline.cpp"
#include <hwy/foreach_target.h>
// The above must be first.
#include <hwy/highway.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>

#include "kernels/cpu/lanes-inl.h"
#include "kernels/cpu/pair_dot-inl.h"
#include "kernels/cpu/quad_dot-inl.h"
#include "kernels/cpu/roofline.h"

HWY_BEFORE_NAMESPACE();
namespace orthrus::cpu::HWY_NAMESPACE {
namespace {

// Twelve chains that do not wait for each other hide the latency of any processor so far.
constexpr int kChains = 12;

float multiply_adds(int rounds) {
  VF acc[kChains];
  for (int i = 0; i < kChains; ++i) acc[i] = hn::Set(kF, 1.0f + static_cast<float>(i));
  const VF factor = hn::Set(kF, 0.999f);
  for (int n = 0; n < rounds; ++n) {
    HWY_UNROLL(16)
    for (int i = 0; i < kChains; ++i) acc[i] = hn::MulAdd(acc[i], factor, factor);
  }
  VF sum = acc[0];
  for (int i = 1; i < kChains; ++i) sum = hn::Add(sum, acc[i]);
  return hn::GetLane(hn::SumOfLanes(kF, sum));
}

int flops_of_round() {
  return 2 * kChains * kWidth;
}

#if ORTHRUS_HAS_PAIR_DOT
float pair_dots(int rounds) {
  const BF16 pair[2] = {to_bf16(0.5f), to_bf16(0.25f)};
  const Pairs factors = broadcast_pair(pair);
  VF acc[kChains];
  for (int i = 0; i < kChains; ++i) acc[i] = hn::Set(kF, 1.0f + static_cast<float>(i));
  for (int n = 0; n < rounds; ++n) {
    HWY_UNROLL(16)
    for (int i = 0; i < kChains; ++i) acc[i] = pair_dot(acc[i], factors, factors);
  }
  VF sum = acc[0];
  for (int i = 1; i < kChains; ++i) sum = hn::Add(sum, acc[i]);
  return hn::GetLane(hn::SumOfLanes(kF, sum));
}

// The least that `rounds` of a kernel took.
template <typename Kernel>
double least_seconds(Kernel kernel, int rounds) {
  constexpr int kTrials = 10;
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kTrials; ++i) {
    const auto start = std::chrono::steady_clock::now();
    volatile float result = kernel(rounds);
    (void)result;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    least = std::min(least, took.count());
  }
  return least;
}

// By turns the same number of multiply-adds each, for a millisecond or two.
bool pair_dot_pays() {
  constexpr int kRounds = 1 << 12;
  static const bool pays = has_pair_dot() && least_seconds(pair_dots, kRounds) <
                                                 least_seconds(multiply_adds, 2 * kRounds);
  return pays;
}
#else
bool pair_dot_pays() {
  return false;
}
#endif

// Of BF16 numbers, as products of them are made.
float pair_multiply_adds(int rounds) {
#if ORTHRUS_HAS_PAIR_DOT
  if (pair_dot_pays()) return pair_dots(rounds);
#endif
  return multiply_adds(rounds);
}

int pair_flops_of_round() {
  return pair_dot_pays() ? 2 * flops_of_round() : flops_of_round();
}

// Of a register of weights and as many tokens, as products with block formats have them.
int byte_multiply_adds(int rounds) {
  HWY_ALIGN uint8_t weights[64];
  HWY_ALIGN int8_t activations[kChains * 4];
  for (int i = 0; i < 64; ++i) weights[i] = static_cast<uint8_t>(i * 3);
  for (int i = 0; i < kChains * 4; ++i) activations[i] = static_cast<int8_t>(i);
  const WideQuads w = wide_quads(hn::Load(DU8(), weights));
  VI acc[kChains];
  HWY_UNROLL(16)
  for (int i = 0; i < kChains; ++i) acc[i] = hn::Zero(DI());
  for (int n = 0; n < rounds; ++n) {
    HWY_UNROLL(16)
    for (int i = 0; i < kChains; ++i) {
      acc[i] = quad_dot(acc[i], w, four_quants(activations + 4 * i));
    }
  }
  VI sum = acc[0];
  HWY_UNROLL(16)  // or a compiler keeps all of them in memory
  for (int i = 1; i < kChains; ++i) sum = hn::Add(sum, acc[i]);
  return hn::GetLane(sum);
}

int byte_flops_of_round() {
  return 2 * kChains * 4 * kWidth;
}

float sum_all(const float* p, size_t count) {
  VF acc[4];
  for (VF& a : acc) a = hn::Zero(kF);
  size_t i = 0;
  for (; i + 4 * kWidth <= count; i += 4 * kWidth) {
    __builtin_prefetch(p + i + 4096, 0, 2);
    HWY_UNROLL(4)
    for (int r = 0; r < 4; ++r) acc[r] = hn::Add(acc[r], load(p + i + r * kWidth));
  }
  float sum =
      hn::GetLane(hn::SumOfLanes(kF, hn::Add(hn::Add(acc[0], acc[1]), hn::Add(acc[2], acc[3]))));
  for (; i < count; ++i) sum += p[i];
  return sum;
}

}  // namespace
}  // namespace orthrus::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace orthrus::cpu {

HWY_EXPORT(multiply_adds);
HWY_EXPORT(flops_of_round);
HWY_EXPORT(pair_dot_pays);
HWY_EXPORT(pair_multiply_adds);
HWY_EXPORT(pair_flops_of_round);
HWY_EXPORT(byte_multiply_adds);
HWY_EXPORT(byte_flops_of_round);
HWY_EXPORT(sum_all);

namespace {

// Runs kernel(rounds) on every thread; returns how many rounds that was.
template <typename Kernel>
double run_everywhere(const Crews& crews, Kernel kernel) {
  constexpr int kRounds = 1 << 20;
  crews.run([&](const Member&) {
    // It is read so that the work cannot be left out.
    volatile auto result = kernel(kRounds);
    (void)result;
  });
  return static_cast<double>(crews.size()) * kRounds;
}

}  // namespace

double run_multiply_adds(const Crews& crews) {
  return run_everywhere(crews, HWY_DYNAMIC_DISPATCH(multiply_adds)) *
         HWY_DYNAMIC_DISPATCH(flops_of_round)();
}

bool bf16_instruction_pays() {
  return HWY_DYNAMIC_DISPATCH(pair_dot_pays)();
}

double run_pair_multiply_adds(const Crews& crews) {
  return run_everywhere(crews, HWY_DYNAMIC_DISPATCH(pair_multiply_adds)) *
         HWY_DYNAMIC_DISPATCH(pair_flops_of_round)();
}

double run_byte_multiply_adds(const Crews& crews) {
  return run_everywhere(crews, HWY_DYNAMIC_DISPATCH(byte_multiply_adds)) *
         HWY_DYNAMIC_DISPATCH(byte_flops_of_round)();
}

float read_all(std::span<const float> memory, const Crews& crews) {
  constexpr size_t kShare = 1 << 16;
  const auto shares = static_cast<int>((memory.size() + kShare - 1) / kShare);
  std::atomic<float> sum = 0;
  crews.run([&](const Member& member) {
    float of_member = 0;
    member.share_without_waiting(shares, [&](int s) {
      const auto share = memory.subspan(static_cast<size_t>(s) * kShare);
      of_member += HWY_DYNAMIC_DISPATCH(sum_all)(share.data(), std::min(share.size(), kShare));
    });
    sum += of_member;
  });
  return sum;
}

}  // namespace orthrus::cpu
#endif  // HWY_ONCE
