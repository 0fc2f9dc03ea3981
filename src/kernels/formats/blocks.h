// GGUF's block formats, one file each: what a block's bytes are, and the integers and scales in it.
// The layouts are ggml's (ggml-common.h of llama.cpp), as files have them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/half.h"
#include "kernels/formats/format.h"

namespace orthrus {

void unpack_q4_0(const std::byte* block, BlockParts& to);
void unpack_q5_0(const std::byte* block, BlockParts& to);
void unpack_q8_0(const std::byte* block, BlockParts& to);
void unpack_q4_k(const std::byte* block, BlockParts& to);
void unpack_q5_k(const std::byte* block, BlockParts& to);
void unpack_q6_k(const std::byte* block, BlockParts& to);
void unpack_iq4_nl(const std::byte* block, BlockParts& to);
void unpack_iq4_xs(const std::byte* block, BlockParts& to);

// What the formats share.

inline F16 f16_at(const std::byte* at) {
  F16 half;
  std::memcpy(&half, at, sizeof half);
  return half;
}

// Of a format whose blocks have one scale and no more.
inline void set_scale(F16 scale, BlockParts& to) {
  to.scale = scale;
  to.minimum = {};
  to.scales[0] = 1;
  to.minimums[0] = 0;
}

inline const uint8_t* bytes_at(const std::byte* at) {
  return reinterpret_cast<const uint8_t*>(at);
}

// Sixteen bytes hold 32 columns: the first 16 in their low halves, the others in their high ones.
inline constexpr int kHalfBlock = 16;
inline int low_half(uint8_t byte) {
  return byte & 0xf;
}
inline int high_half(uint8_t byte) {
  return byte >> 4;
}

// Scale and minimum g of 0..7 of Q4_K and Q5_K: six bits each, in twelve bytes.
struct SixBits {
  int8_t scale;
  uint8_t minimum;
};
inline SixBits six_bits(const uint8_t* packed, int g) {
  const auto pair = [](int scale, int minimum) {
    return SixBits{static_cast<int8_t>(scale), static_cast<uint8_t>(minimum)};
  };
  if (g < 4) return pair(packed[g] & 63, packed[g + 4] & 63);
  return pair((packed[g + 4] & 0xf) | (packed[g - 4] >> 6 << 4),
              (packed[g + 4] >> 4) | (packed[g] >> 6 << 4));
}

// The sixteen numbers that IQ4_NL and IQ4_XS choose from.
inline constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};

}  // namespace orthrus
