#include "kernels/formats/fp8_encoding.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace orthrus {
namespace {

constexpr float kLargest = 448;

std::string name_of_fp8(const Fp8Matrix& matrix) {
  if (matrix.scales.rows == 1 && matrix.scales.columns == 1) return "FP8, one scale";
  if (matrix.scale_rows == 1 && matrix.scales.columns == 1) return "FP8, a scale a row";
  return "FP8, blocks of " + std::to_string(matrix.scale_rows) + " x " +
         std::to_string(matrix.scale_columns);
}

constexpr std::array<float, 256> kValues = [] {
  std::array<float, 256> values{};
  for (size_t byte = 0; byte < values.size(); ++byte) {
    values[byte] = fp8_e4m3_to_float(static_cast<uint8_t>(byte));
  }
  return values;
}();

}  // namespace

Fp8Encoding::Fp8Encoding(Fp8Matrix matrix, size_t bytes) : matrix_(matrix) {
  name_ = name_of_fp8(matrix_);
  rows_ = matrix_.rows;
  cols_ = matrix_.columns;
  bytes_ = bytes;
  largest_ = matrix_.scales.largest() * kLargest;
}

const std::byte* Fp8Encoding::row(int i) const {
  return matrix_.data + static_cast<size_t>(i) * static_cast<size_t>(cols_);
}

void Fp8Encoding::read(int first, int count, std::byte* to) const {
  for (int i = first; i < first + count; ++i) {
    const std::byte* const from = row(i);
    for (int begin = 0; begin < cols_; begin += matrix_.scale_columns) {
      const int end = begin + std::min(matrix_.scale_columns, cols_ - begin);
      const float scale = matrix_.scales.at(static_cast<size_t>(i / matrix_.scale_rows),
                                            static_cast<size_t>(begin / matrix_.scale_columns));
      for (int k = begin; k < end; ++k, to += sizeof(float)) {
        const float value = kValues[static_cast<size_t>(from[k])] * scale;
        std::memcpy(to, &value, sizeof value);
      }
    }
  }
}

bool Fp8Encoding::finite(int first, int count) const {
  return std::all_of(row(first), row(first + count),
                     [](std::byte byte) { return (byte & std::byte{0x7f}) != std::byte{0x7f}; });
}

}  // namespace orthrus
