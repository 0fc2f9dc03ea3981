// Q6_K, 210 bytes for 256 columns: 128 bytes of halves, 64 bytes of upper pairs of bits, 16 int8
// scales of 16 columns each, then their f16. Of each 128 columns, 64 bytes have the halves: columns
// 0..63 in the low ones, 64..127 in the high ones; and byte i of 32 has the pairs of columns i,
// i + 32, i + 64, i + 96, from its lowest bits on. A number of six bits is 32 more than its quant.
#include "kernels/formats/blocks.h"

namespace orthrus {

void unpack_q6_k(const std::byte* block, BlockParts& to) {
  to.scale = f16_at(block + 208);
  to.minimum = {};
  std::memcpy(to.scales, block + 192, sizeof to.scales);
  std::memset(to.minimums, 0, sizeof to.minimums);
  for (int of_128 = 0; of_128 < 2; ++of_128) {
    const uint8_t* const halves = bytes_at(block) + of_128 * 64;
    const uint8_t* const pairs = bytes_at(block + 128) + of_128 * 32;
    int8_t* const quants = to.quants + of_128 * 128;
    for (int i = 0; i < 128; ++i) {
      const int half = i < 64 ? low_half(halves[i]) : high_half(halves[i - 64]);
      quants[i] = static_cast<int8_t>((half | (pairs[i % 32] >> (i / 32 * 2) & 3) << 4) - 32);
    }
  }
}

}  // namespace orthrus
