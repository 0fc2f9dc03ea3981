// exp of a float without branches or calls, so that loops over it vectorise.
#pragma once

#include <bit>
#include <cstdint>

namespace orthrus::cpu {

// Relative error below 2e-7 for x in [-87, 88]; below, it flattens out at exp(-87), above, at
// exp(88). Every operation is a plain IEEE multiply or add, so a vector lane and a scalar agree.
inline float exp_f32(float x) {
  constexpr float kLog2e = 0x1.715476p+0f;
  constexpr float kLn2High = 0x1.62e4p-1f;    // few enough bits that n * kLn2High is exact
  constexpr float kLn2Low = 0x1.7f7d1cp-20f;  // ln 2 - kLn2High
  constexpr float kRound = 0x1.8p23f;         // adding it leaves the nearest integer
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  const float shifted = x * kLog2e + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * kLn2High) - n * kLn2Low;  // |r| <= ln 2 / 2
  // Taylor's series about 0 to r^7: its first missing term is below 6e-9 there.
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const auto exponent = (std::bit_cast<uint32_t>(shifted) + 127u) << 23;  // 2^n
  return p * std::bit_cast<float>(exponent);
}

}  // namespace orthrus::cpu
