// FP8: a byte a number, E4M3 (a sign, four bits of exponent with a bias of 7, three of mantissa; no
// infinities, NaN is all ones), with a scale for each rectangle of rows and columns.
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/formats/encoding.h"
#include "kernels/formats/scale_grid.h"

namespace orthrus {

constexpr float fp8_e4m3_to_float(uint8_t byte) {  // exact
  const uint32_t sign = static_cast<uint32_t>(byte & 0x80) << 24;
  const uint32_t magnitude = byte & 0x7f;
  if (magnitude == 0x7f) return std::bit_cast<float>(sign | 0x7fc00000);
  if (magnitude < 8) {  // subnormal: a multiple of 2^-9, a normal float
    const float small = static_cast<float>(magnitude) * 0x1p-9f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(small));
  }
  // The bias is 127 - 7 less than float32's.
  return std::bit_cast<float>(sign | ((magnitude << 20) + (120u << 23)));
}

struct Fp8Matrix {
  int rows = 0, columns = 0;
  const std::byte* data = nullptr;        // [rows][columns]
  ScaleGrid scales;                       // by rectangle
  int scale_rows = 0, scale_columns = 0;  // of a rectangle; those at the edges may have fewer
};

// Number (n, k) is e4m3(n, k) * scale(n / scale_rows, k / scale_columns), in float32: exact with
// scales that are F16 or BF16, rounded once with F32.
class Fp8Encoding final : public Encoding {
 public:
  // `bytes` are those of all parts. largest() is not finite where a scale is not, or where numbers
  // would not be.
  Fp8Encoding(Fp8Matrix matrix, size_t bytes);

  void read(int first, int count, std::byte* to) const override;
  bool finite(int first, int count) const override;  // no byte is NaN

 private:
  const std::byte* row(int i) const;

  Fp8Matrix matrix_;
};

}  // namespace orthrus
