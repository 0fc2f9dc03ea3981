// Matrices in subtiles, read as the lanes of a warpgroup read them (kernels/cuda/block_forms.cuh)
// and as the tensor cores understand their registers: every number is where it belongs.
#include "backends/cuda/pack_blocks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "base/half.h"
#include "kernels/formats/format.h"
#include "support/bf16_scales.h"
#include "support/fresh_seed.h"
#include "support/gguf_model.h"

namespace orthrus::cuda {
namespace {

// What a thread finds in a subtile: number `number` of four of a step, in its upper row or the
// lower one, before it is rounded to BF16.
class Subtile {
 public:
  Subtile(WeightForm form, const std::byte* data) : form_(form), data_(data) {}

  double number(int thread, int lower, int step, int number) const {
    const int near_or_far = number / 2, which = number % 2;
    if (form_ == WeightForm::kQ8) {
      const auto byte =
          at<uint8_t>(lower * Q8Layout::kNumberBytes / 2 + thread * 16 + step * 4 + number);
      return (byte - 128) * scale<Q8Layout>(thread, lower, step / 2);
    }
    const auto word = at<uint32_t>(thread * 16 + lower * 8 + step / 2 * 4);
    const auto halves = static_cast<int>(word >> (step % 2 * 8 + 16 * which) & 0xff);
    const int low_bits = halves >> near_or_far * 4 & 0xf;
    if (form_ == WeightForm::kQ4) {
      return low_bits * scale<Q4Layout>(thread, lower, step / 2) +
             stored<Q4Layout>(thread, lower, 2 + step / 2) / kMinimumUp;
    }
    if (form_ == WeightForm::kQ5) {
      const auto fifths = at<uint32_t>(Q5Layout::kFifthsAt + thread * 4);
      const auto byte = static_cast<int>(fifths >> (step % 2 * 8 + 16 * which) & 0xff);
      const int bits = low_bits | (byte >> (4 * lower + step / 2 * 2 + near_or_far) & 1) << 4;
      return bits * scale<Q5Layout>(thread, lower, step / 2) +
             stored<Q5Layout>(thread, lower, 2 + step / 2) / kMinimumUp;
    }
    const auto pairs = at<uint32_t>(Q6Layout::kPairsAt + thread * 8 + lower * 4);
    const auto byte = static_cast<int>(pairs >> (step % 2 * 8 + 16 * which) & 0xff);
    const int bits = low_bits | (byte >> 2 * (step / 2 * 2 + near_or_far) & 3) << 4;
    return (bits - 32) * scale<Q6Layout>(thread, lower, step);
  }

 private:
  template <typename T>
  T at(int byte) const {
    T value;
    std::memcpy(&value, data_ + byte, sizeof value);
    return value;
  }
  // Scale i of a row, as it is stored.
  template <typename Layout>
  double stored(int thread, int lower, int i) const {
    const int element = (thread / 4 * 2 + lower) * Layout::kRowScales + i;
    return static_cast<double>(to_float(at<BF16>(Layout::kScalesAt + element * 2)));
  }
  template <typename Layout>
  double scale(int thread, int lower, int i) const {
    return stored<Layout>(thread, lower, i) / kScaleUp;
  }

  WeightForm form_;
  const std::byte* data_;
};

// A row group's numbers, [64][columns rounded up to 64], by where the tensor cores take a thread's
// registers to stand.
std::vector<double> widen_group(WeightForm form, const std::byte* group, int cols) {
  const int groups = column_groups(cols), stride = groups * kSubtileCols;
  std::vector<double> numbers(static_cast<size_t>(kSubtileRows * stride), NAN);
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
std::vector<double> packed_and_widened(const void* from, DType type, WeightForm form, int cols,
                                       std::span<const int> places) {
  std::vector<std::byte> group(packed_bytes(form, 1, cols));
  const auto* row = static_cast<const std::byte*>(from);
  for (const int place : places) {
    pack_row(row, type, cols, form, place, group.data());
    row += bytes_of(format_of(type), static_cast<size_t>(cols));
  }
  return widen_group(form, group.data(), cols);
}

// Every format with each form that has its integers.
std::vector<std::pair<Format, WeightForm>> all_held() {
  std::vector<std::pair<Format, WeightForm>> all;
  for (const Format& format : all_formats()) {
    for (const WeightForm form : kBlockForms) {
      if (holds(form, format.type)) all.emplace_back(format, form);
    }
  }
  return all;
}

TEST(PackBlocks, LanesFindTheIntegersOfTheFileWithBf16Scales) {
  std::mt19937 random(test::fresh_seed());
  for (const auto& [format, form] : all_held()) {
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
      const auto want =
          test::with_bf16_scales(format, reinterpret_cast<const std::byte*>(bytes.data()),
                                 size_t{kRows} * static_cast<size_t>(cols / format.block_columns));
      std::vector<int> places(kRows);
      for (int i = 0; i < kRows; ++i) places[static_cast<size_t>(i)] = i;
      std::shuffle(places.begin(), places.end(), random);
      const auto got = packed_and_widened(bytes.data(), format.type, form, cols, places);
      const int stride = column_groups(cols) * kSubtileCols;
      for (int row = 0; row < kRows; ++row) {
        const double* const of_row = got.data() + places[static_cast<size_t>(row)] * stride;
        for (int col = 0; col < stride; ++col) {
          const double number = col < cols ? want[static_cast<size_t>(row * cols + col)] : 0;
          ASSERT_EQ(of_row[col], number) << "row " << row << ", column " << col;
        }
      }
    }
  }
}

// Numbers that are stored one by one, in any number of columns.
TEST(PackBlocks, OthersAreRoundedToBytes) {
  std::mt19937 random(test::fresh_seed());
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (const int cols : {8, 40, 72, 128, 200}) {
    std::vector<float> from(size_t{2} * static_cast<size_t>(cols));
    for (float& number : from) number = uniform(random);
    const std::vector<int> places = {3, 60};
    const auto got = packed_and_widened(from.data(), DType::kF32, WeightForm::kQ8, cols, places);
    const int stride = column_groups(cols) * kSubtileCols;
    for (int place = 0; place < kSubtileRows; ++place) {
      for (int col = 0; col < stride; ++col) {
        const double number = got[static_cast<size_t>(place * stride + col)];
        const bool real = col < cols && (place == places[0] || place == places[1]);
        const int row = place == places[0] ? 0 : 1;
        const float want = real ? from[static_cast<size_t>(row * cols + col)] : 0.0f;
        // Half a step of a block whose largest number is below 1. The step is larger by the
        // scale's rounding.
        EXPECT_NEAR(number, want, real ? 0.5 / 127 * (1 + 0x1p-7) : 0);
      }
    }
  }
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
    const auto got = packed_and_widened(from.data(), DType::kF32, WeightForm::kQ8, 64, {&place, 1});
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
    const auto got = packed_and_widened(from.data(), DType::kF32, WeightForm::kQ8, 32, {&place, 1});
    for (size_t k = 0; k < from.size(); ++k) {
      const bool counts = largest > 0x1p-80f;
      EXPECT_NEAR(got[size_t{place} * 64 + k], counts ? from[k] : 0, counts ? largest / 252 : 0)
          << largest;
    }
  }
}

}  // namespace
}  // namespace orthrus::cuda
