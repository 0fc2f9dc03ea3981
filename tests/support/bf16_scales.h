// Numbers of block formats whose scales and minimums are BF16, as a CUDA device multiplies with
// them: the definition, computed one number at a time.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "base/half.h"
#include "kernels/formats/format.h"

namespace orthrus::test {

// The nearest BF16, of two the even one.
inline float nearest_bf16(double number) {
  if (number == 0) return static_cast<float>(number);
  const int exponent = std::max(std::ilogb(number), -126) - 7;
  return static_cast<float>(std::ldexp(std::nearbyint(std::ldexp(number, -exponent)), exponent));
}

// integer * scale - minimum before it is rounded, which is exact. Q4_0 has the minimum that makes
// its integers begin at 0, which changes nothing but the sign of a zero.
inline std::vector<double> with_bf16_scales(const Format& format, const std::byte* from,
                                            size_t blocks) {
  std::vector<double> numbers;
  BlockParts parts;
  for (size_t b = 0; b < blocks; ++b, from += format.block_bytes) {
    format.unpack(from, parts);
    for (int i = 0; i < format.block_columns; ++i) {
      const int group = i / format.group_columns;
      const double scale = nearest_bf16(static_cast<double>(parts.scale_of(group)));
      const double minimum = nearest_bf16(static_cast<double>(parts.minimum_of(group)));
      numbers.push_back(parts.quants[i] * scale - minimum);
    }
  }
  return numbers;
}

}  // namespace orthrus::test
