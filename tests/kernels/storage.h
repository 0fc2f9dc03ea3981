// Random operands for kernel tests, and how results are compared.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/formats/format.h"
#include "kernels/ops.h"

namespace orthrus {

// A fixture whose randomness has a fresh seed each run, printed when a test fails.
class RandomTest : public testing::Test {
 protected:
  RandomTest() : seed_(std::random_device{}()), random_(seed_) {}
  void TearDown() override {
    if (HasFailure()) std::printf("seed: %u\n", seed_);
  }

  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  float normal() { return normal_(random_); }

  unsigned seed_;
  std::mt19937 random_;
  std::normal_distribution<float> normal_;
};

// Rows with their storage; the stride is a little wider than the row.
struct Storage {
  Storage(int rows, int cols) : floats(static_cast<size_t>(rows) * (cols + 3)) {
    view = {floats.data(), rows, cols, static_cast<size_t>(cols) + 3};
  }
  Storage(const Storage& other) : floats(other.floats), view(other.view) {
    view.data = floats.data();
  }
  Storage& operator=(const Storage&) = delete;
  std::vector<float> floats;
  Rows view;
};

template <typename Fill>
Storage filled(int rows, int cols, Fill fill) {
  Storage s(rows, cols);
  for (int m = 0; m < rows; ++m) {
    for (int i = 0; i < cols; ++i) s.view.row(m)[i] = fill();
  }
  return s;
}

struct WeightStorage {
  Buffer data;
  Matrix view;
};

// Row-major weights of any type but Q8_0. `normal` gives random numbers.
template <typename Fill>
WeightStorage random_table(DType type, int rows, int cols, Fill normal) {
  const size_t count = static_cast<size_t>(rows) * cols;
  WeightStorage s;
  s.data = Buffer(static_cast<float*>(std::malloc(bytes_of(format_of(type), count))));
  s.view = {s.data.get(), type, rows, cols};
  auto* const bytes = reinterpret_cast<unsigned char*>(s.data.get());
  for (size_t i = 0; i < count; ++i) {
    const auto bits = std::bit_cast<uint32_t>(normal());
    if (type == DType::kF32) {
      std::memcpy(bytes + 4 * i, &bits, 4);
      continue;
    }
    auto half = static_cast<uint16_t>(bits >> 16);  // BF16
    // F16: sign, an exponent up to 16 (2.0), any mantissa: subnormals included.
    if (type == DType::kF16) half = (bits & 0x83ff) | ((bits >> 16) % 17) << 10;
    std::memcpy(bytes + 2 * i, &half, 2);
  }
  return s;
}

// In exactly as many bytes as they need, so that a sanitizer sees a read past them.
inline WeightStorage packed(const Ops& ops, const Matrix& table, DType type) {
  const size_t bytes = ops.packed_bytes(type, table.rows, table.cols);
  WeightStorage s;
  s.data = Buffer(static_cast<float*>(std::aligned_alloc(64, bytes)));
  s.view = ops.pack(table, type, s.data.get());
  return s;
}

// Packed weights of any type.
template <typename Fill>
WeightStorage random_weights(const Ops& ops, DType type, int rows, int cols, Fill normal) {
  const DType from = type == DType::kQ8_0 ? DType::kF32 : type;
  return packed(ops, random_table(from, rows, cols, normal).view, type);
}

inline void expect_close(ConstRows got, ConstRows want, double tolerance) {
  for (int m = 0; m < want.rows; ++m) {
    for (int i = 0; i < want.cols; ++i) {
      const double scale = std::max(1.0, std::abs(double(want.row(m)[i])));
      ASSERT_NEAR(got.row(m)[i], want.row(m)[i], tolerance * scale)
          << "row " << m << " column " << i;
    }
  }
}

inline void expect_same_bits(ConstRows got, ConstRows want, const char* what) {
  ASSERT_EQ(got.rows, want.rows);
  for (int m = 0; m < want.rows; ++m) {
    ASSERT_EQ(std::memcmp(got.row(m), want.row(m), want.cols * sizeof(float)), 0)
        << what << ", row " << m;
  }
}

}  // namespace orthrus
