// Random operands for kernel tests, and how results are compared.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "base/ceil_div.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/formats/format.h"
#include "kernels/ops.h"
#include "support/fresh_seed.h"

namespace orthrus {

// A fixture whose randomness has a fresh seed each run.
class RandomTest : public testing::Test {
 public:
  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  float normal() { return normal_(random_); }

 protected:
  std::mt19937 random_{test::fresh_seed()};
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

// A matrix as a file has it, row-major.
struct Table {
  Buffer data;
  Matrix view;
};

// A matrix as products take it.
struct Packed {
  Buffer data;
  Matrix view;
};

// Columns that are whole blocks of the formats.
inline int whole_blocks(int cols, std::initializer_list<DType> types) {
  for (const DType type : types) cols = round_up(cols, format_of(type).block_columns);
  return cols;
}

// Sets the f16 of a block's scales, and of its minimums where it has them.
inline void set_scales(DType type, unsigned char* block, F16 scale, F16 minimum) {
  std::memcpy(block + (type == DType::kQ6_K ? 208 : 0), &scale, sizeof scale);
  if (format_of(type).has_minimums) std::memcpy(block + 2, &minimum, sizeof minimum);
}

// `normal` gives random numbers; those of block formats are as large or smaller.
template <typename Fill>
Table random_table(DType type, int rows, int cols, Fill normal) {
  const Format& format = format_of(type);
  const size_t count = static_cast<size_t>(rows) * cols;
  const size_t bytes = bytes_of(format, count);
  Table table;
  table.data = Buffer(static_cast<float*>(std::malloc(bytes)));
  table.view = {table.data.get(), type, rows, cols};
  auto* const to = reinterpret_cast<unsigned char*>(table.data.get());
  if (format.stores_blocks()) {
    for (size_t i = 0; i < bytes; ++i) {
      to[i] = static_cast<unsigned char>(std::bit_cast<uint32_t>(normal()) >> 3);
    }
    for (size_t block = 0; block < bytes; block += format.block_bytes) {
      // The largest of 65504 stands for the largest quant, and every scale up to it.
      const float most = 2 * 65504 / format.largest;
      set_scales(type, to + block, to_f16(normal() * most), to_f16(normal() * most));
    }
    return table;
  }
  for (size_t i = 0; i < count; ++i) {
    const auto bits = std::bit_cast<uint32_t>(normal());
    if (type == DType::kF32) {
      std::memcpy(to + 4 * i, &bits, 4);
      continue;
    }
    auto half = static_cast<uint16_t>(bits >> 16);  // BF16
    // F16: sign, an exponent up to 16 (2.0), any mantissa: subnormals included.
    if (type == DType::kF16) half = (bits & 0x83ff) | ((bits >> 16) % 17) << 10;
    std::memcpy(to + 2 * i, &half, 2);
  }
  return table;
}

// In exactly as many bytes as they need, so that a sanitizer sees a read past them.
inline Packed packed(const Ops& ops, const Matrix& table, DType type) {
  const size_t bytes = ops.packed_bytes(type, table.rows, table.cols);
  Packed result;
  result.data = Buffer(static_cast<float*>(std::aligned_alloc(64, bytes)));
  result.view = ops.pack(table, type, result.data.get());
  return result;
}

// Random weights, both ways.
struct Weights {
  template <typename Fill>
  Weights(DType type, int rows, int cols, Fill normal)
      : table(random_table(type, rows, cols, normal)),
        packed(orthrus::packed(CpuOps(1), table.view, type)) {}
  Table table;
  Packed packed;
};

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
