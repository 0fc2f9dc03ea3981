// IQ4_NL, 18 bytes for 32 columns: as Q4_0, but each half of a byte is a place in a list of values.
#include "kernels/formats/blocks.h"

namespace orthrus {

void unpack_iq4_nl(const std::byte* block, BlockParts& to) {
  const uint8_t* const halves = bytes_at(block + 2);
  set_scale(f16_at(block), to);
  for (int i = 0; i < kHalfBlock; ++i) {
    to.quants[i] = kIq4Values[low_half(halves[i])];
    to.quants[i + kHalfBlock] = kIq4Values[high_half(halves[i])];
  }
}

}  // namespace orthrus
