#include "kernels/formats/round.h"

#include <algorithm>
#include <cmath>

#include "kernels/formats/blocks.h"

namespace orthrus {

void round_to_q8_0(const float* from, BlockParts& to) {
  constexpr int kColumns = 32;
  float largest = 0;
  for (int k = 0; k < kColumns; ++k) largest = std::max(largest, std::abs(from[k]));
  set_scale(to_f16(largest / 127), to);
  // By the scale as it is stored, so that its rounding is not added to the weights'.
  const float scale = to_float(to.scale);
  for (int k = 0; k < kColumns; ++k) {
    const float q = scale > 0 ? std::nearbyint(from[k] / scale) : 0;
    to.quants[k] = static_cast<int8_t>(std::clamp(q, -127.0f, 127.0f));
  }
}

}  // namespace orthrus
