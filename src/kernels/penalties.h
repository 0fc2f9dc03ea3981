// The numbers of a row's context, as host and device have them.
#pragma once

#include <cstdint>

namespace orthrus {

// As in SamplingParams (orthrus/sampling.h), whose formula they are of.
struct Penalties {
  float repetition = 1;
  float presence = 0;
  float frequency = 0;
};

// How a token occurs before a row: 0, not at all; 1 + n, in the prompt or the output, of which n
// times in the output.
using Occurrence = int32_t;

// The logit of a token that is never to be chosen, if it was finite. It is finite too, over any
// temperature, so that it is not taken for a broken one.
inline constexpr float kSuppressedLogit = -1e30f;

}  // namespace orthrus
