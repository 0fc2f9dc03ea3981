// Q4_K, 144 bytes for 256 columns: f16 of the scales, f16 of the minimums, their eight pairs of six
// bits in 12 bytes; then for each 64 columns 32 bytes, the first 32 columns in their low halves.
#include "kernels/formats/blocks.h"

namespace orthrus {

void unpack_q4_k(const std::byte* block, BlockParts& to) {
  const uint8_t* const packed = bytes_at(block + 4);
  const uint8_t* const halves = bytes_at(block + 16);
  to.scale = f16_at(block);
  to.minimum = f16_at(block + 2);
  for (int g = 0; g < 8; ++g) {
    const SixBits six = six_bits(packed, g);
    to.scales[g] = six.scale;
    to.minimums[g] = six.minimum;
    const uint8_t* const from = halves + g / 2 * 32;
    for (int i = 0; i < 32; ++i) {
      to.quants[32 * g + i] =
          static_cast<int8_t>(g % 2 == 0 ? low_half(from[i]) : high_half(from[i]));
    }
  }
}

}  // namespace orthrus
