// Q4_0, 18 bytes for 32 columns: f16 scale; then halves of bytes, each 8 more than its quant.
#include "kernels/formats/blocks.h"

namespace orthrus {

void unpack_q4_0(const std::byte* block, BlockParts& to) {
  const uint8_t* const halves = bytes_at(block + 2);
  set_scale(f16_at(block), to);
  for (int i = 0; i < kHalfBlock; ++i) {
    to.quants[i] = static_cast<int8_t>(low_half(halves[i]) - 8);
    to.quants[i + kHalfBlock] = static_cast<int8_t>(high_half(halves[i]) - 8);
  }
}

}  // namespace orthrus
