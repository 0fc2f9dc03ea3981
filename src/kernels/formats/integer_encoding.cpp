#include "kernels/formats/integer_encoding.h"

#include <algorithm>
#include <utility>

#include "base/half.h"

namespace orthrus {
namespace {

// Columns read at a time: a block's of Q4_0 and Q8_0, and few enough for the words of many rows to
// stay in the nearest cache where those are far apart.
constexpr size_t kColumns = 32;

std::string name_of_integers(std::string_view source, const IntegerMatrix& matrix) {
  std::string name(source);
  if (!name.empty()) name += ' ';
  name += "int" + std::to_string(matrix.integers.bits);
  if (matrix.scales.columns == 1) return name + ", a scale a row";
  return name + ", groups of " + std::to_string(matrix.group_columns);
}

void put_q8_0(const int* quants, float scale, std::byte* to) {
  const F16 half = to_f16(scale);
  std::memcpy(to, &half, sizeof half);
  for (size_t i = 0; i < kColumns; ++i) to[sizeof half + i] = static_cast<std::byte>(quants[i]);
}

void put_q4_0(const int* quants, float scale, std::byte* to) {
  const F16 half = to_f16(scale);
  std::memcpy(to, &half, sizeof half);
  for (size_t i = 0; i < kColumns / 2; ++i) {
    const int low = quants[i] + 8, high = quants[i + kColumns / 2] + 8;
    to[sizeof half + i] = static_cast<std::byte>(low | high << 4);
  }
}

}  // namespace

IntegerEncoding::IntegerEncoding(IntegerMatrix matrix, std::string_view source, size_t bytes)
    : matrix_(std::move(matrix)) {
  name_ = name_of_integers(source, matrix_);
  rows_ = matrix_.rows;
  cols_ = matrix_.columns;
  bytes_ = bytes;
  largest_ = matrix_.scales.largest() * static_cast<float>(matrix_.integers.largest());
  const int middle = static_cast<int>(matrix_.integers.largest() / 2 + 1);
  for (size_t row = 0; matrix_.zeros && row < matrix_.scales.rows; ++row) {
    for (size_t group = 0; group < matrix_.scales.columns; ++group) {
      has_middle_zeros_ &= zero(row, group) == middle;
    }
  }
  type_ = exact_type();
}

int IntegerEncoding::zero(size_t row, size_t group) const {
  const unsigned most = matrix_.integers.largest();
  if (!matrix_.zeros) return static_cast<int>(most / 2 + 1);
  return static_cast<int>((matrix_.zeros->at(row, group) + matrix_.zero_offset) & most);
}

size_t IntegerEncoding::group_of(size_t column) const {
  return matrix_.groups.empty() ? column / static_cast<size_t>(matrix_.group_columns)
                                : static_cast<size_t>(matrix_.groups[column]);
}

DType IntegerEncoding::exact_type() const {
  constexpr int kBlock = kColumns;
  const bool one_group = matrix_.scales.columns == 1;
  if (!matrix_.groups.empty() || cols_ % kBlock != 0) return DType::kF32;
  if (!one_group && matrix_.group_columns % kBlock != 0) return DType::kF32;
  if (matrix_.integers.bits == 8 && !has_middle_zeros_) return DType::kF32;
  const ScaleGrid& scales = matrix_.scales;
  for (size_t row = 0; row < scales.rows && scales.type != DType::kF16; ++row) {
    for (size_t group = 0; group < scales.columns; ++group) {
      const float scale = scales.at(row, group);
      if (!(to_float(to_f16(scale)) == scale)) return DType::kF32;
    }
  }
  return matrix_.integers.bits == 4 && has_middle_zeros_ ? DType::kQ4_0 : DType::kQ8_0;
}

void IntegerEncoding::read(int first, int count, std::byte* to) const {
  const Format& format = format_of(type_);
  const auto columns = static_cast<size_t>(cols_), groups = matrix_.scales.columns;
  const size_t row_bytes = bytes_of(format, columns);
  std::vector<float> scales;  // of each row's groups
  std::vector<int> zeros;
  for (int i = 0; i < count; ++i) {
    for (size_t group = 0; group < groups; ++group) {
      scales.push_back(matrix_.scales.at(static_cast<size_t>(first + i), group));
      zeros.push_back(zero(static_cast<size_t>(first + i), group));
    }
  }
  int quants[kColumns];
  for (size_t column = 0; column < columns; column += kColumns) {
    const size_t width = std::min(kColumns, columns - column);
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
      for (size_t k = 0; k < width; ++k) {
        const size_t of_row = i * groups + group_of(column + k);
        quants[k] =
            static_cast<int>(matrix_.integers.at(static_cast<size_t>(first) + i, column + k)) -
            zeros[of_row];
      }
      std::byte* const place = to + i * row_bytes + bytes_of(format, column);
      const float* const of_row = scales.data() + i * groups;
      if (type_ == DType::kQ4_0) {
        put_q4_0(quants, of_row[group_of(column)], place);
      } else if (type_ == DType::kQ8_0) {
        put_q8_0(quants, of_row[group_of(column)], place);
      } else {
        for (size_t k = 0; k < width; ++k) {
          const float value = static_cast<float>(quants[k]) * of_row[group_of(column + k)];
          std::memcpy(place + k * sizeof value, &value, sizeof value);
        }
      }
    }
  }
}

}  // namespace orthrus
