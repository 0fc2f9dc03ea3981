#include "kernels/cpu/pack.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/cpu/formats.h"
#include "kernels/cpu/rows.h"

namespace orthrus::cpu {
namespace {

// `row` is the row's place in its group; `padded` columns are whole blocks.
void to_q8(const float* values, size_t padded, size_t row, std::byte* group) {
  const size_t blocks = padded / kQ8Cols;
  auto* const weights = reinterpret_cast<uint8_t*>(group);
  auto* const scales = reinterpret_cast<F16*>(group + blocks * Q8Group::kBlockBytes);
  for (size_t i = 0; i < blocks; ++i) {
    const float* from = values + i * kQ8Cols;
    float largest = 0;
    for (int k = 0; k < kQ8Cols; ++k) largest = std::max(largest, std::abs(from[k]));
    const F16 half = to_f16(largest / 127);
    scales[i * kBlockRows + row] = half;
    // By the scale as it is stored, so that its rounding is not added to the weights'.
    const float scale = to_float(half);
    for (int k = 0; k < kQ8Cols; ++k) {
      const float q = scale > 0 ? std::nearbyint(from[k] / scale) : 0;
      weights[i * Q8Group::kBlockBytes + (k / 4 * kBlockRows + row) * 4 + k % 4] =
          static_cast<uint8_t>(static_cast<int>(std::clamp(q, -127.0f, 127.0f)) + 128);
    }
  }
}

// `rows` are the group's, `cols` floats each.
template <typename Element, typename Convert>
void interleave(const float* rows, int count, size_t cols, Element* to, Convert convert) {
  for (size_t k = 0; k < cols; ++k) {
    for (int r = 0; r < count; ++r) to[k * kBlockRows + r] = convert(rows[r * cols + k]);
  }
}

void to_floats(const float* rows, int count, size_t cols, DType type, void* group) {
  auto* const words = static_cast<uint16_t*>(group);
  switch (type) {
    case DType::kF32:
      return interleave(rows, count, cols, static_cast<float*>(group), [](float x) { return x; });
    case DType::kF16:
      return interleave(rows, count, cols, words, [](float x) { return to_f16(x).bits; });
    case DType::kBF16:
      for (size_t k = 0; k < cols; ++k) {  // pairs of columns side by side
        uint16_t* const pair = words + k / 2 * 2 * kBlockRows + k % 2;
        for (int r = 0; r < count; ++r) pair[2 * r] = to_bf16(rows[r * cols + k]).bits;
      }
      return;
    default:  // to_q8
      return;
  }
}

}  // namespace

void pack_group(const Matrix& from, int b, DType type, void* to) {
  const bool q8 = type == DType::kQ8_0;
  const size_t bytes = group_bytes(type, from.cols);
  auto* const group = static_cast<std::byte*>(to) + static_cast<size_t>(b) * bytes;
  // What lies past the rows and columns: zeros, which in Q8_0 are 128 with a scale of 0.
  const size_t weights = q8 ? Q8Group::blocks(from.cols) * Q8Group::kBlockBytes : 0;
  std::memset(group, 128, weights);
  std::memset(group + weights, 0, bytes - weights);
  const int count = std::min(kBlockRows, from.rows - b * kBlockRows);
  const auto cols = static_cast<size_t>(from.cols);
  const size_t padded = q8 ? round_up(cols, kQ8Cols) : cols;
  std::vector<float> rows(padded * static_cast<size_t>(count));
  for (int r = 0; r < count; ++r) {
    widen_row(from, b * kBlockRows + r, rows.data() + padded * static_cast<size_t>(r));
  }
  if (!q8) return to_floats(rows.data(), count, cols, type, group);
  for (size_t r = 0; r < static_cast<size_t>(count); ++r) {
    to_q8(rows.data() + padded * r, padded, r, group);
  }
}

}  // namespace orthrus::cpu
