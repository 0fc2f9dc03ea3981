// The rows of a matrix as the checkpoint has it, whether they lie in one piece or are encoded.
#pragma once

#include <cstddef>
#include <vector>

#include "kernels/formats/encoding.h"
#include "kernels/formats/format.h"
#include "kernels/ops.h"

namespace orthrus {

class MatrixRows {
 public:
  explicit MatrixRows(const Matrix& matrix)
      : matrix_(matrix),
        row_bytes_(bytes_of(format_of(matrix.type), static_cast<size_t>(matrix.cols))) {}

  size_t row_bytes() const { return row_bytes_; }

  // The bytes of rows [first, first + count), one below the other. Valid until the next call.
  const std::byte* read(int first, int count) {
    if (matrix_.encoding == nullptr) {
      return static_cast<const std::byte*>(matrix_.data) + static_cast<size_t>(first) * row_bytes_;
    }
    read_.resize(static_cast<size_t>(count) * row_bytes_);
    matrix_.encoding->read(first, count, read_.data());
    return read_.data();
  }

 private:
  Matrix matrix_;
  size_t row_bytes_;
  std::vector<std::byte> read_;
};

}  // namespace orthrus
