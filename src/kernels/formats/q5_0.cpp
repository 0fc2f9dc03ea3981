// Q5_0, 22 bytes for 32 columns: f16 scale; the columns' fifth bits, uint32; then halves of bytes
// with the other four. A number of five bits is 16 more than its quant.
#include "kernels/formats/blocks.h"

namespace orthrus {

void unpack_q5_0(const std::byte* block, BlockParts& to) {
  uint32_t fifth;
  std::memcpy(&fifth, block + 2, sizeof fifth);
  const uint8_t* const halves = bytes_at(block + 6);
  const auto quant = [&](int half, int column) {
    return static_cast<int8_t>((half | static_cast<int>(fifth >> column & 1) << 4) - 16);
  };
  set_scale(f16_at(block), to);
  for (int i = 0; i < kHalfBlock; ++i) {
    to.quants[i] = quant(low_half(halves[i]), i);
    to.quants[i + kHalfBlock] = quant(high_half(halves[i]), i + kHalfBlock);
  }
}

}  // namespace orthrus
