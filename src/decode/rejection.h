// Accepting drafts by the rejection rule: speculative sampling, arXiv 2211.17192.
#pragma once

#include <vector>

#include "kernels/select.h"

namespace orthrus {

// Probabilities of the tokens that the filters leave, by ascending id.
struct TokenProbability {
  int32_t token;
  double probability;
};
using Distribution = std::vector<TokenProbability>;

Distribution distribution(std::span<const Candidate> candidates);

// One position: `draft` was drawn from q with Stream::kDraft. Returns it with probability
// min(1, p / q), else a draw from max(0, p - q) normalised, which is not the draft.
int32_t accept_or_resample(int32_t draft, const Distribution& q, const Distribution& p,
                           uint64_t seed, int position);

}  // namespace orthrus
