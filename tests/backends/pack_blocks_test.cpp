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
#include "support/fresh_seed.h"
#include "support/gguf_model.h"

namespace orthrus::cuda {
namespace {

// What a thread finds in a subtile: number `number` of four of a step, in its upper row or the
// lower one, as float32 before it is rounded to BF16.
class Subtile {
 public:
  Subtile(WeightForm form, const std::byte* data)
      : form_(form), data_(reinterpret_cast<const uint8_t*>(data)) {}

  float number(int thread, int lower, int step, int number) const {
    if (form_ == WeightForm::kQ8) {
      const int byte = data_[lower * Q8Layout::kNumberBytes / 2 + thread * 16 + step * 4 + number];
      const float scale = half(Q8Layout::kNumberBytes + thread / 4 * 8 + lower * 4 + step / 2 * 2);
      const float biased = 0x1p15f + static_cast<float>(byte);
      return std::fma(biased, scale, -(0x1p15f + 128) * scale);
    }
    if (form_ == WeightForm::kQ8Bf16) {
      const int byte = data_[lower * Q8Layout::kNumberBytes / 2 + thread * 16 + step * 4 + number];
      BF16 scale;
      std::memcpy(&scale,
                  data_ + Q8Layout::kNumberBytes + thread / 4 * 8 + lower * 4 + step / 2 * 2,
                  sizeof scale);
      return static_cast<float>(byte - 128) * (to_float(scale) / Q8Bf16Layout::kScaleUp);
    }
    const int half_byte = data_[thread * 16 + lower * 8 + step / 2 * 4 + number];
    const int low_bits = half_byte >> step % 2 * 4 & 0xf;
    if (form_ == WeightForm::kQ4K) {
      const int at = Q4KLayout::kScalesAt + thread / 4 * 16 + lower * 8;
      const float d = half(at), m = half(at + 2);
      const auto above_128 = [&](int i) { return 128 + static_cast<float>(data_[at + 4 + i]); };
      const float scale = std::fma(above_128(step / 2), d, -128 * d);
      const float minimum = std::fma(above_128(2 + step / 2), -m, 128 * m);
      return std::fma(static_cast<float>(low_bits), scale, minimum);
    }
    const int pairs = data_[Q6KLayout::kPairsAt + thread * 8 + lower * 4 + number];
    const int bits = low_bits | (pairs >> 2 * step & 3) << 4;
    const int integer = data_[Q6KLayout::kIntegersAt + thread / 4 * 8 + lower * 4 + step];
    const float d = half(Q6KLayout::kScalesAt + thread / 4 * 4 + lower * 2);
    const float scale = std::fma(0x1p15f + static_cast<float>(integer), d, -(0x1p15f + 128) * d);
    return std::fma(128 + static_cast<float>(bits), scale, -160 * scale);
  }

 private:
  float half(int at) const {
    F16 half;
    std::memcpy(&half, data_ + at, sizeof half);
    return to_float(half);
  }

  WeightForm form_;
  const uint8_t* data_;
};

// A row group's numbers, [64][columns rounded up to 64], by where the tensor cores take a thread's
// registers to stand.
std::vector<float> widen_group(WeightForm form, const std::byte* group, int cols) {
  const int groups = column_groups(cols), stride = groups * kSubtileCols;
  std::vector<float> numbers(static_cast<size_t>(kSubtileRows * stride), NAN);
  for (int i = 0; i < groups; ++i) {
    const Subtile subtile(form, group + i * subtile_bytes(form));
    for (int thread = 0; thread < 128; ++thread) {
      for (int step = 0; step < 4; ++step) {
        for (int reg = 0; reg < 4; ++reg) {
          for (int half = 0; half < 2; ++half) {
            const int lower = reg % 2, far = reg / 2;
            const int row = thread / 32 * 16 + thread % 32 / 4 + 8 * lower;
            const int col = step * 16 + thread % 4 * 2 + half + 8 * far;
            numbers[static_cast<size_t>(row * stride + i * kSubtileCols + col)] =
                subtile.number(thread, lower, step, far * 2 + half);
          }
        }
      }
    }
  }
  return numbers;
}

// Packs rows in any places of a group.
std::vector<float> packed_and_widened(const void* from, DType type, WeightForm form, int cols,
                                      std::span<const int> places) {
  std::vector<std::byte> group(packed_bytes(form, 1, cols));
  const auto* row = static_cast<const std::byte*>(from);
  for (const int place : places) {
    pack_row(row, type, cols, form, place, group.data());
    row += bytes_of(format_of(type), static_cast<size_t>(cols));
  }
  return widen_group(form, group.data(), cols);
}

TEST(PackBlocks, LanesFindTheNumbersOfTheFile) {
  std::mt19937 random(test::fresh_seed());
  for (const Format& format : all_formats()) {
    const auto form = form_of(format.type);
    if (!form) continue;
    SCOPED_TRACE(format.name);
    for (const int cols : {32, 64, 96, 256, 768}) {
      if (cols % format.block_columns != 0) continue;
      constexpr int kRows = 64;
      std::string bytes = test::random_blocks(format, kRows, cols, random);
      for (size_t at = 0; at < bytes.size(); at += static_cast<size_t>(format.block_bytes)) {
        const bool behind = format.type == DType::kQ6_K;
        const size_t place = behind ? static_cast<size_t>(format.block_bytes) - 2 : 0;
        for (int i = 0; i <= (format.has_minimums ? 1 : 0); ++i) {
          const auto scale = static_cast<uint16_t>(random() & 0xfbff);  // of any size, finite
          std::memcpy(bytes.data() + at + place + 2 * i, &scale, sizeof scale);
        }
      }
      std::vector<float> want(size_t{kRows} * static_cast<size_t>(cols));
      format.widen(reinterpret_cast<const std::byte*>(bytes.data()),
                   want.size() / static_cast<size_t>(format.block_columns), want.data());
      std::vector<int> places(kRows);
      for (int i = 0; i < kRows; ++i) places[static_cast<size_t>(i)] = i;
      std::shuffle(places.begin(), places.end(), random);
      const auto got = packed_and_widened(bytes.data(), format.type, *form, cols, places);
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
void expect_rounded(WeightForm form, float scale_error) {
  std::mt19937 random(test::fresh_seed());
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (const int cols : {8, 40, 72, 128, 200}) {
    std::vector<float> from(size_t{2} * static_cast<size_t>(cols));
    for (float& number : from) number = uniform(random);
    const std::vector<int> places = {3, 60};
    const auto got = packed_and_widened(from.data(), DType::kF32, form, cols, places);
    const int stride = column_groups(cols) * kSubtileCols;
    for (int place = 0; place < kSubtileRows; ++place) {
      for (int col = 0; col < stride; ++col) {
        const float number = got[static_cast<size_t>(place * stride + col)];
        const bool real = col < cols && (place == places[0] || place == places[1]);
        const int row = place == places[0] ? 0 : 1;
        const float want = real ? from[static_cast<size_t>(row * cols + col)] : 0.0f;
        // Half a step of a block whose largest number is below 1, and its scale's rounding.
        EXPECT_NEAR(number, want, real ? 0.5f / 127 + scale_error : 0.0f);
      }
    }
  }
}

TEST(PackBlocks, OthersAreRoundedToQ8) {
  expect_rounded(WeightForm::kQ8, 0x1p-11f);
}

// The step is larger by the scale's rounding alone.
TEST(PackBlocks, OthersAreRoundedToBytesWithABf16Scale) {
  expect_rounded(WeightForm::kQ8Bf16, 0.5f / 127 * 0x1p-7f);
}

TEST(PackBlocks, ABf16ScaleLeavesWhatItHoldsAsItIs) {
  std::mt19937 random(test::fresh_seed());
  for (int i = 0; i < 1000; ++i) {
    // Of any exponent that counts; or all are zero.
    const float mantissa = static_cast<float>(128 + random() % 128);
    const float scale = i == 0 ? 0 : std::ldexp(mantissa, static_cast<int>(random() % 88) - 80);
    std::vector<float> from(64);
    for (float& number : from) number = scale * (static_cast<float>(random() % 255) - 127);
    from[random() % 32] = 127 * scale, from[32 + random() % 32] = -127 * scale;
    const int place = static_cast<int>(random() % 64);
    const auto got =
        packed_and_widened(from.data(), DType::kF32, WeightForm::kQ8Bf16, 64, {&place, 1});
    for (size_t col = 0; col < from.size(); ++col) {
      ASSERT_EQ(got[static_cast<size_t>(place) * 64 + col], from[col]) << scale;
    }
  }
}

// All sizes that are let in: beside the largest and the least there are no infinities and NaNs.
TEST(PackBlocks, ABf16ScaleHoldsWhatQ8Holds) {
  const float most = format_of(DType::kQ8_0).largest;
  for (const float largest : {most, 1.0f, 0x1p-79f, 0x1p-81f, 0x1p-149f, 0.0f}) {
    std::vector<float> from(32);
    for (size_t k = 0; k < from.size(); ++k) from[k] = largest * (static_cast<float>(k) - 15) / 16;
    const int place = 9;
    const auto got =
        packed_and_widened(from.data(), DType::kF32, WeightForm::kQ8Bf16, 32, {&place, 1});
    for (size_t k = 0; k < from.size(); ++k) {
      const bool counts = largest > 0x1p-80f;
      EXPECT_NEAR(got[size_t{place} * 64 + k], counts ? from[k] : 0, counts ? largest / 252 : 0)
          << largest;
    }
  }
}

}  // namespace
}  // namespace orthrus::cuda
