// Log-probabilities of tokens, as people ask for them.
#pragma once

#include <span>

#include "orthrus/generation.h"

namespace orthrus {

// Of `token` and the `top` likeliest: x_i - log(sum_j exp(x_j)) of the row x, with exponentials in
// float and their sum in double, in one fixed order. NaN where a logit is not finite.
TokenLogprobs token_logprobs(std::span<const float> row, int32_t token, int top);

// Of `token` alone, not rounded.
double token_logprob(std::span<const float> row, int32_t token);

}  // namespace orthrus
