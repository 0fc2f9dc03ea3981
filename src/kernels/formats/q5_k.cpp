// Q5_K, 176 bytes for 256 columns: as Q4_K, with 32 bytes of fifth bits between the scales and the
// halves: byte i has those of columns i, i + 32, ..., from its lowest bit on.
#include "kernels/formats/blocks.h"

namespace orthrus {

void unpack_q5_k(const std::byte* block, BlockParts& to) {
  const uint8_t* const packed = bytes_at(block + 4);
  const uint8_t* const fifth = bytes_at(block + 16);
  const uint8_t* const halves = bytes_at(block + 48);
  to.scale = f16_at(block);
  to.minimum = f16_at(block + 2);
  for (int g = 0; g < 8; ++g) {
    const SixBits six = six_bits(packed, g);
    to.scales[g] = six.scale;
    to.minimums[g] = six.minimum;
    const uint8_t* const from = halves + g / 2 * 32;
    for (int i = 0; i < 32; ++i) {
      const int half = g % 2 == 0 ? low_half(from[i]) : high_half(from[i]);
      to.quants[32 * g + i] = static_cast<int8_t>(half | (fifth[i] >> g & 1) << 4);
    }
  }
}

}  // namespace orthrus
