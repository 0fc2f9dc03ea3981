// Q6_K, 210 bytes for 256 columns: 128 bytes of halves, 64 bytes of upper pairs of bits, 16 int8
// scales of 16 columns each, then their f16. Of each 128 columns, 64 bytes have the halves: columns
// 0..63 in the low ones, 64..127 in the high ones; and byte i of 32 has the pairs of columns i,
// i + 32, i + 64, i + 96, from its lowest bits on. A number of six bits is 32 more than its quant.
#include "kernels/formats/blocks.h"

namespace orthrus {

void unpack_q6_k(const std::byte* block, BlockParts& to) {
  const float scale = f16_at(block + 208);
  for (int g = 0; g < 16; ++g) {
    to.scales[g] = scale * static_cast<float>(static_cast<int8_t>(block[192 + g]));
    to.minimums[g] = 0;
  }
  for (int column = 0; column < 256; ++column) {
    const int of_128 = column / 128, i = column % 128;
    const uint8_t byte = bytes_at(block)[of_128 * 64 + i % 64];
    const uint8_t pairs = bytes_at(block + 128)[of_128 * 32 + i % 32];
    const int half = i < 64 ? low_half(byte) : high_half(byte);
    to.quants[column] = static_cast<int8_t>((half | (pairs >> (i / 32 * 2) & 3) << 4) - 32);
  }
}

}  // namespace orthrus
