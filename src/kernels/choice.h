// What becomes of a row of logits.
#pragma once

#include <cstdint>

#include "base/strict_math.h"

namespace orthrus {

// A token chosen from a row of logits: the one with the largest, or a sampled one.
struct Choice {
  int32_t id = -1;        // of the largest logit the lowest such id; -1 when one is not finite
  float logit = 0;        // its logit
  float probability = 0;  // its share of the softmax it was chosen from; only where asked for
};

}  // namespace orthrus
