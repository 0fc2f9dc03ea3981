// The best few tokens of a row of logits, in the order in which one would be chosen.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "orthrus/sampling.h"

namespace orthrus {

struct RankedToken {
  int32_t token;
  float logit;
  float score;    // the logit over the temperature; greedy: the logit
  double ranked;  // what the largest is chosen by: the score, and at a temperature the noise
};

struct BestTokens {
  std::vector<RankedToken> tokens;  // best first, of equals the lowest id
  // Logarithm of the sum of exp(score) over all tokens that the filters leave: exp(score - it) is a
  // token's probability. Only where asked for.
  double log_total = 0;
};

// The `count` best tokens of a row, or as many as the filters leave: the first is the one that
// select() chooses for `position`, the second what it would choose without that one, and so on.
// None where a logit is not finite.
BestTokens best_tokens(std::span<const float> logits, int position, const SamplingParams& params,
                       int count, bool with_total = false);

}  // namespace orthrus
