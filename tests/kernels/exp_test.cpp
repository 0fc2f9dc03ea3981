#include "kernels/cpu/exp.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace orthrus {
namespace {

TEST(Exp, RelativeErrorIsWhatTheHeaderSays) {
  double worst = 0;
  for (double x = -87; x <= 88; x += 1e-4) {
    const auto arg = static_cast<float>(x);
    const double exact = std::exp(static_cast<double>(arg));
    worst = std::max(worst, std::abs(cpu::exp_f32(arg) - exact) / exact);
  }
  EXPECT_LT(worst, 2e-7);
}

TEST(Exp, FlattensOutAtBothEnds) {
  EXPECT_EQ(cpu::exp_f32(-1e30f), cpu::exp_f32(-87.0f));
  EXPECT_EQ(cpu::exp_f32(1e30f), cpu::exp_f32(88.0f));
  EXPECT_EQ(cpu::exp_f32(-INFINITY), cpu::exp_f32(-87.0f));
  EXPECT_EQ(cpu::exp_f32(0.0f), 1.0f);
}

TEST(Exp, AVectorLoopGivesTheBitsOfSingleCalls) {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> value(-90, 90);
  float x[1001], together[1001];
  for (float& v : x) v = value(random);
  for (int i = 0; i < 1001; ++i) together[i] = cpu::exp_f32(x[i]);
  for (int i = 0; i < 1001; ++i) {
    volatile float one = x[i];
    ASSERT_EQ(cpu::exp_f32(one), together[i]) << "x = " << x[i];
  }
}

}  // namespace
}  // namespace orthrus
