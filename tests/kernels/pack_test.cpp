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
  const Packed one = packed(CpuOps(1), {&value, DType::kF32, 1, 1}, type);
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

// The weights that products see, [columns][rows]: products with unit vectors. Of F32 and F16 they
// are exact; of block formats within the rounding of a unit vector's scale, 1/127.
Storage weights_seen(const Matrix& w) {
  Storage units(w.cols, w.cols), seen(w.cols, w.rows);
  for (int k = 0; k < w.cols; ++k) units.view.row(k)[k] = 1;
  const CpuOps ops(1);
  const Buffer workspace = ops.allocate(ops.workspace_floats(w.cols, w.cols));
  ops.parallel([&] {
    const Product products[] = {{&w, seen.view}};
    ops.matmul(units.view, products, workspace.get());
  });
  return seen;
}

TEST_F(Pack, TheSameAndWiderTypesKeepTheValue) {
  for (const Format& format : all_formats()) {
    for (const DType to : {format.type, DType::kF32}) {
      const int rows = pick(1, 40), cols = whole_blocks(pick(1, 90), {format.type});
      const auto from = random_table(format.type, rows, cols, [&] { return normal(); });
      const auto got = packed(CpuOps(2), from.view, to);
      const Storage seen = weights_seen(got.view);
      // A minimum is subtracted with a rounding.
      const double rounding = format.has_minimums ? 1e-7 : 0;
      const double tolerance = format_of(to).stores_blocks() ? 1e-6 : rounding;
      for (int n = 0; n < rows; ++n) {
        for (int k = 0; k < cols; ++k) {
          const double want = weight_at(from.view, n, k);
          // A float32 sum in which a minimum goes against the rest loses by its size.
          const double size = format.has_minimums ? 8 : std::abs(want);
          ASSERT_NEAR(seen.view.row(k)[n], want, tolerance * size)
              << name_of(format.type) << " as " << name_of(to);
        }
      }
    }
  }
}

// From any format to Q8_0: half a step of the block's scale; and the scale's own rounding to f16,
// which the largest weight feels most, and which is up to 2^-25 where the scale is subnormal.
TEST_F(Pack, Q8IsWithinHalfAStep) {
  for (const Format& format : all_formats()) {
    if (format.type == DType::kQ8_0) continue;
    for (int trial = 0; trial < 3; ++trial) {
      const int rows = pick(1, 40), cols = whole_blocks(pick(1, 200), {format.type});
      const auto from = random_table(format.type, rows, cols, [&] { return normal(); });
      const auto got = packed(CpuOps(pick(1, 3)), from.view, DType::kQ8_0);
      const Storage seen = weights_seen(got.view);
      for (int n = 0; n < rows; ++n) {
        for (int first = 0; first < cols; first += 32) {
          const int end = std::min(cols, first + 32);
          double largest = 0;
          for (int k = first; k < end; ++k) {
            largest = std::max(largest, std::abs(weight_at(from.view, n, k)));
          }
          for (int k = first; k < end; ++k) {
            ASSERT_NEAR(seen.view.row(k)[n], weight_at(from.view, n, k),
                        largest * (0.5 / 127 + 0.0006) + 4e-6);
          }
        }
      }
    }
  }
}

TEST_F(Pack, WhatCanBePacked) {
  for (const Format& from : all_formats()) {
    for (const Format& to : all_formats()) {
      const bool can = from.type == to.type || !to.stores_blocks() || to.type == DType::kQ8_0;
      EXPECT_EQ(can_pack(from.type, to.type), can) << from.name << " as " << to.name;
    }
  }
}

}  // namespace
}  // namespace orthrus
