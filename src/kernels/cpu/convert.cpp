#include "kernels/cpu/convert.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/cpu/formats.h"
#include "kernels/cpu/rows.h"

namespace orthrus::cpu {
namespace {

uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

uint16_t to_f16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const float magnitude = std::abs(value);
  if (magnitude >= 65520) return sign | 0x7c00;  // rounds to 2^16, which f16 has not
  if (magnitude < 0x1p-14f) {                    // subnormal: a multiple of 2^-24
    return sign | static_cast<uint16_t>(std::nearbyint(magnitude * 0x1p24f));
  }
  // Ten bits of mantissa stay, thirteen go; a carry goes into the exponent, as it should.
  const uint32_t rounded = (bits & 0x7fffffff) + 0xfff + (bits >> 13 & 1);
  return sign | static_cast<uint16_t>((rounded >> 13) - (112 << 10));
}

float from_f16(uint16_t bits) {
  const float magnitude =
      std::bit_cast<float>(static_cast<uint32_t>(bits & 0x7fff) << 13) * 0x1p112f;
  return bits & 0x8000 ? -magnitude : magnitude;
}

// `row` is the row's place in its group; `padded` has whole blocks of columns.
void to_q8(const std::vector<float>& padded, size_t row, std::byte* group) {
  const size_t blocks = padded.size() / kStep;
  auto* const weights = reinterpret_cast<uint8_t*>(group);
  auto* const scales = reinterpret_cast<F16*>(group + blocks * Q8Group::kBlockBytes);
  for (size_t i = 0; i < blocks; ++i) {
    const float* from = padded.data() + i * kStep;
    float largest = 0;
    for (int k = 0; k < kStep; ++k) largest = std::max(largest, std::abs(from[k]));
    const uint16_t half = to_f16(largest / 127);
    scales[i * kBlockRows + row].bits = half;
    // By the scale as it is stored, so that its rounding is not added to the weights'.
    const float scale = from_f16(half);
    for (int k = 0; k < kStep; ++k) {
      const float q = scale > 0 ? std::nearbyint(from[k] / scale) : 0;
      weights[i * Q8Group::kBlockBytes + (k / 4 * kBlockRows + row) * 4 + k % 4] =
          static_cast<uint8_t>(static_cast<int>(std::clamp(q, -127.0f, 127.0f)) + 128);
    }
  }
}

}  // namespace

void convert_block(const Matrix& from, int b, DType type, void* to) {
  const auto cols = static_cast<size_t>(from.cols);
  std::vector<float> row(round_up(cols, kStep));
  auto* const group =
      static_cast<std::byte*>(to) + static_cast<size_t>(b) * Q8Group::bytes(from.cols);
  if (type == DType::kQ8_0) {  // rows past the last are zeros: 128, and a scale of 0
    const size_t weights = Q8Group::blocks(from.cols) * Q8Group::kBlockBytes;
    std::memset(group, 128, weights);
    std::memset(group + weights, 0, Q8Group::bytes(from.cols) - weights);
  }
  const int end = std::min(from.rows, (b + 1) * kBlockRows);
  for (int n = b * kBlockRows; n < end; ++n) {
    widen_row(from, n, row.data());
    const size_t at = cols * static_cast<size_t>(n);
    switch (type) {
      case DType::kF32:
        std::memcpy(static_cast<float*>(to) + at, row.data(), cols * sizeof(float));
        break;
      case DType::kF16:
        std::transform(row.begin(), row.begin() + from.cols, static_cast<uint16_t*>(to) + at,
                       to_f16);
        break;
      case DType::kBF16:
        std::transform(row.begin(), row.begin() + from.cols, static_cast<uint16_t*>(to) + at,
                       to_bf16);
        break;
      case DType::kQ8_0:
        to_q8(row, static_cast<size_t>(n % kBlockRows), group);
        break;
    }
  }
}

}  // namespace orthrus::cpu
