// Matrices in subtiles, read as the lanes of a warpgroup read them (kernels/cuda/block_forms.cuh)
// and as the tensor cores understand their registers: every number is where it belongs.
#include "backends/cuda/pack_blocks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <span>
#include <vector>

#include "base/half.h"
#include "kernels/formats/format.h"
#include "support/gguf_model.h"

namespace orthrus::cuda {
namespace {

// A row group's numbers, [64][columns rounded up to 64], as lanes widen them: float32, before they
// are rounded to BF16.
std::vector<float> widen_group(const std::byte* group, int cols) {
  const int groups = column_groups(cols), stride = groups * kSubtileCols;
  std::vector<float> numbers(static_cast<size_t>(kSubtileRows * stride), NAN);
  for (int subtile = 0; subtile < groups; ++subtile) {
    const std::byte* const at = group + subtile * Q8Layout::kBytes;
    for (int thread = 0; thread < 128; ++thread) {
      uint8_t bytes[2][16];
      F16 scales[2][2];  // by row and 32 columns
      for (int row = 0; row < 2; ++row) {
        std::memcpy(bytes[row], at + row * Q8Layout::kNumberBytes / 2 + thread * 16, 16);
      }
      std::memcpy(scales, at + Q8Layout::kNumberBytes + thread / 4 * 8, 8);
      for (int step = 0; step < 4; ++step) {
        for (int reg = 0; reg < 4; ++reg) {
          for (int half = 0; half < 2; ++half) {
            const int lower = reg % 2, far = reg / 2;
            const int row = thread / 32 * 16 + thread % 32 / 4 + 8 * lower;
            const int col = step * 16 + thread % 4 * 2 + half + 8 * far;
            const float scale = to_float(scales[lower][step / 2]);
            const float biased =
                0x1p15f + static_cast<float>(bytes[lower][step * 4 + far * 2 + half]);
            numbers[static_cast<size_t>(row * stride + subtile * kSubtileCols + col)] =
                std::fma(biased, scale, -(0x1p15f + 128) * scale);
          }
        }
      }
    }
  }
  return numbers;
}

// Packs rows in any places of a group.
std::vector<float> packed_and_widened(const void* from, DType type, int cols,
                                      std::span<const int> places) {
  std::vector<std::byte> group(packed_bytes(WeightForm::kQ8, 1, cols));
  const auto* row = static_cast<const std::byte*>(from);
  for (const int place : places) {
    pack_row(row, type, cols, WeightForm::kQ8, place, group.data());
    row += bytes_of(format_of(type), static_cast<size_t>(cols));
  }
  return widen_group(group.data(), cols);
}

TEST(PackBlocks, LanesFindTheNumbersOfTheFile) {
  std::mt19937 random(std::random_device{}());
  for (const Format& format : all_formats()) {
    if (form_of(format.type) != WeightForm::kQ8) continue;
    SCOPED_TRACE(format.name);
    for (const int cols : {32, 64, 96, 256}) {
      constexpr int kRows = 64;
      std::string bytes = test::random_blocks(format, kRows, cols, random);
      for (size_t at = 0; at < bytes.size(); at += static_cast<size_t>(format.block_bytes)) {
        const auto scale = static_cast<uint16_t>(random() & 0xbbff);  // of any size, finite
        std::memcpy(bytes.data() + at, &scale, sizeof scale);
      }
      std::vector<float> want(size_t{kRows} * static_cast<size_t>(cols));
      format.widen(reinterpret_cast<const std::byte*>(bytes.data()),
                   want.size() / static_cast<size_t>(format.block_columns), want.data());
      std::vector<int> places(kRows);
      for (int i = 0; i < kRows; ++i) places[static_cast<size_t>(i)] = i;
      std::shuffle(places.begin(), places.end(), random);
      const auto got = packed_and_widened(bytes.data(), format.type, cols, places);
      const int stride = column_groups(cols) * kSubtileCols;
      for (int row = 0; row < kRows; ++row) {
        const float* const of_row = got.data() + places[static_cast<size_t>(row)] * stride;
        for (int col = 0; col < stride; ++col) {
          const float number = col < cols ? want[static_cast<size_t>(row * cols + col)] : 0.0f;
          ASSERT_EQ(of_row[col], number) << "row " << row << ", column " << col;
        }
      }
    }
  }
}

// Numbers that are stored one by one, in any number of columns.
TEST(PackBlocks, OthersAreRoundedToQ8) {
  std::mt19937 random(std::random_device{}());
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (const int cols : {8, 40, 72, 128, 200}) {
    std::vector<float> from(size_t{2} * static_cast<size_t>(cols));
    for (float& number : from) number = uniform(random);
    const std::vector<int> places = {3, 60};
    const auto got = packed_and_widened(from.data(), DType::kF32, cols, places);
    const int stride = column_groups(cols) * kSubtileCols;
    for (int place = 0; place < kSubtileRows; ++place) {
      for (int col = 0; col < stride; ++col) {
        const float number = got[static_cast<size_t>(place * stride + col)];
        const bool real = col < cols && (place == places[0] || place == places[1]);
        const int row = place == places[0] ? 0 : 1;
        const float want = real ? from[static_cast<size_t>(row * cols + col)] : 0.0f;
        // Half a step of a block whose largest number is below 1, and its scale's rounding.
        EXPECT_NEAR(number, want, real ? 0.5f / 127 + 0x1p-11f : 0.0f);
      }
    }
  }
}

}  // namespace
}  // namespace orthrus::cuda
