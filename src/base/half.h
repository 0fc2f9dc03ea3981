// The two 16-bit floats, to and from float32.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace orthrus {

struct BF16 {
  uint16_t bits;
};
struct F16 {
  uint16_t bits;
};

inline float to_float(BF16 value) {
  return std::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16);
}

inline float to_float(F16 value) {
  const uint32_t sign = static_cast<uint32_t>(value.bits & 0x8000) << 16;
  const uint32_t magnitude = static_cast<uint32_t>(value.bits & 0x7fff) << 13;
  if ((value.bits & 0x7c00) == 0x7c00) {  // infinity, NaN
    return std::bit_cast<float>(sign | magnitude | 0x7f800000);
  }
  if ((value.bits & 0x7c00) == 0) {
    // A subnormal half is a multiple of 2^-24, a normal float: right where those are off, too.
    const float small = static_cast<float>(value.bits & 0x3ff) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(small));
  }
  return std::bit_cast<float>(sign | (magnitude + (112u << 23)));
}

inline bool is_finite(F16 value) {
  return (value.bits & 0x7c00) != 0x7c00;
}

// The nearest, ties to even. Not for NaN.
inline BF16 to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

// The nearest, ties to even; what is too large becomes infinite. Not for NaN.
inline F16 to_f16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const float magnitude = std::abs(value);
  if (magnitude >= 65520) return {static_cast<uint16_t>(sign | 0x7c00)};
  if (magnitude < 0x1p-14f) {  // subnormal: a multiple of 2^-24
    return {
        static_cast<uint16_t>(sign | static_cast<uint16_t>(std::nearbyint(magnitude * 0x1p24f)))};
  }
  // Ten bits of mantissa stay, thirteen go; a carry goes into the exponent, as it should.
  const uint32_t rounded = (bits & 0x7fffffff) + 0xfff + (bits >> 13 & 1);
  return {static_cast<uint16_t>(sign | ((rounded >> 13) - (112 << 10)))};
}

}  // namespace orthrus
