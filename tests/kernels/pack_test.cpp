// NetworkWeights from one type to another: to the nearest value, ties to even.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/reference_ops.h"
#include "kernels/storage.h"

namespace orthrus {
namespace {

using Pack = RandomTest;

// The value of `bits` of a 16-bit type.
double value_of(DType type, uint16_t bits) {
  return weight_at({&bits, type, 1, 1}, 0, 0);
}

uint16_t converted(DType type, float value) {
  const WeightStorage one = packed(CpuOps(1), {&value, DType::kF32, 1, 1}, type);
  uint16_t bits;
  std::memcpy(&bits, one.view.data, sizeof(bits));
  return bits;
}

void expect_nearest(DType type, float value) {
  const uint16_t bits = converted(type, value);
  const double got = value_of(type, bits);
  const double error = std::abs(got - value);
  for (const int step : {-1, 1}) {
    const auto neighbour = static_cast<uint16_t>(bits + step);
    if ((bits & 0x7fff) == 0 && step == -1) continue;  // nothing is closer to zero than zero
    const double other = std::abs(value_of(type, neighbour) - value);
    ASSERT_LE(error, other) << name_of(type) << " of " << value;
    if (error == other) {
      ASSERT_EQ(bits & 1, 0) << name_of(type) << " of " << value;
    }
  }
  ASSERT_EQ(std::signbit(got), std::signbit(value));
}

TEST_F(Pack, HalvesAreTheNearest) {
  for (int trial = 0; trial < 20000; ++trial) {
    const float value = std::ldexp(normal(), pick(-30, 14));
    if (std::abs(value) < 65000) expect_nearest(DType::kF16, value);
    expect_nearest(DType::kBF16, std::ldexp(normal(), pick(-100, 100)));
  }
  // Exactly between two, where ties go to even.
  for (uint32_t bits = 0x3f800000; bits < 0x3f810000; bits += 0x800) {
    expect_nearest(DType::kF16, std::bit_cast<float>(bits));
    expect_nearest(DType::kBF16, std::bit_cast<float>(bits));
  }
  for (int i = 0; i < 200; ++i) expect_nearest(DType::kF16, std::ldexp(i + 0.5f, -24));
}

TEST_F(Pack, EdgesOfHalves) {
  EXPECT_EQ(converted(DType::kF16, 0.0f), 0);
  EXPECT_EQ(converted(DType::kF16, -0.0f), 0x8000);
  EXPECT_EQ(converted(DType::kF16, 65504.0f), 0x7bff);
  EXPECT_EQ(converted(DType::kF16, 65519.0f), 0x7bff);
  EXPECT_EQ(converted(DType::kF16, 65520.0f), 0x7c00);
  EXPECT_EQ(converted(DType::kF16, -1e30f), 0xfc00);
  EXPECT_EQ(converted(DType::kBF16, 1.0f), 0x3f80);
}

TEST_F(Pack, TheSameAndWiderTypesKeepTheValue) {
  constexpr DType kFloats[] = {DType::kF32, DType::kF16, DType::kBF16};
  for (const DType type : kFloats) {
    for (const DType to : {type, DType::kF32}) {
      const int rows = pick(1, 40), cols = pick(1, 90);
      const auto from = random_table(type, rows, cols, [&] { return normal(); });
      const auto got = packed(CpuOps(2), from.view, to);
      for (int n = 0; n < rows; ++n) {
        for (int k = 0; k < cols; ++k) {
          ASSERT_EQ(weight_at(got.view, n, k), weight_at(from.view, n, k));
        }
      }
    }
  }
}

// Half a step of the block's scale; and the scale's own rounding to f16, which the largest weight
// feels most, and which is up to 2^-25 where the scale is subnormal.
TEST_F(Pack, Q8IsWithinHalfAStep) {
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (int trial = 0; trial < 10; ++trial) {
      const int rows = pick(1, 40), cols = pick(1, 200);
      const auto from = random_table(type, rows, cols, [&] { return normal(); });
      const auto got = packed(CpuOps(pick(1, 3)), from.view, DType::kQ8_0);
      for (int n = 0; n < rows; ++n) {
        for (int first = 0; first < cols; first += 32) {
          const int end = std::min(cols, first + 32);
          double largest = 0;
          for (int k = first; k < end; ++k) {
            largest = std::max(largest, std::abs(weight_at(from.view, n, k)));
          }
          for (int k = first; k < end; ++k) {
            ASSERT_NEAR(weight_at(got.view, n, k), weight_at(from.view, n, k),
                        largest * (0.5 / 127 + 0.0006) + 4e-6);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace orthrus
