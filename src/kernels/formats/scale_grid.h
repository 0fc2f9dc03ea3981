// The scales of an encoding: floats of any type, in either order.
#pragma once

#include <cmath>
#include <cstddef>

#include "kernels/formats/format.h"

namespace orthrus {

struct ScaleGrid {
  const std::byte* data = nullptr;  // aligned to nothing
  DType type = DType::kF32;         // F32, F16 or BF16
  size_t rows = 0, columns = 0;
  size_t row_stride = 0, column_stride = 0;  // in numbers

  float at(size_t row, size_t column) const {
    const Format& format = format_of(type);
    const size_t place = row * row_stride + column * column_stride;
    float value;
    format.widen(data + place * static_cast<size_t>(format.block_bytes), 1, &value);
    return value;
  }

  // The largest magnitude; infinite where one is NaN.
  float largest() const {
    float most = 0;
    for (size_t row = 0; row < rows; ++row) {
      for (size_t column = 0; column < columns; ++column) {
        const float magnitude = std::abs(at(row, column));
        if (!(magnitude <= most)) most = std::isnan(magnitude) ? HUGE_VALF : magnitude;
      }
    }
    return most;
  }
};

}  // namespace orthrus
