// IQ4_XS, 136 bytes for 256 columns: f16 of the scales; their upper pairs of bits, uint16; their
// lower halves, 4 bytes; then for each 32 columns 16 bytes as in IQ4_NL. A scale of six bits is 32
// too large.
#include "kernels/formats/blocks.h"

namespace orthrus {

void unpack_iq4_xs(const std::byte* block, BlockParts& to) {
  to.scale = f16_at(block);
  to.minimum = {};
  uint16_t upper;
  std::memcpy(&upper, block + 2, sizeof upper);
  const uint8_t* const lower = bytes_at(block + 4);
  for (int g = 0; g < 8; ++g) {
    const int half = g % 2 == 0 ? low_half(lower[g / 2]) : high_half(lower[g / 2]);
    const int six = half | (upper >> (2 * g) & 3) << 4;
    to.scales[g] = static_cast<int8_t>(six - 32);
    to.minimums[g] = 0;
    const uint8_t* const halves = bytes_at(block + 8 + 16 * g);
    for (int i = 0; i < kHalfBlock; ++i) {
      to.quants[32 * g + i] = kIq4Values[low_half(halves[i])];
      to.quants[32 * g + i + kHalfBlock] = kIq4Values[high_half(halves[i])];
    }
  }
}

}  // namespace orthrus
