// Q8_0, 34 bytes for 32 columns: f16 scale; int8 quants[32].
#include "kernels/formats/blocks.h"

namespace orthrus {

void unpack_q8_0(const std::byte* block, BlockParts& to) {
  set_scale(f16_at(block), to);
  std::memcpy(to.quants, block + 2, 32);
}

}  // namespace orthrus
