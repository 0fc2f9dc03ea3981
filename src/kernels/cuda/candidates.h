// What rows of drafts have to offer, on the device. Plain data, for code that runs on the host,
// too.
#pragma once

#include <cstdint>

namespace orthrus::cuda {

inline constexpr int kPairCandidates = 32;

// The best tokens of a row, by what select() takes the best of: the score, which is the logit over
// the temperature, of those that the filters keep, and the noise. None where a score is not finite.
struct DraftCandidates {
  int32_t ids[kPairCandidates];   // -1: there are fewer
  float values[kPairCandidates];  // score + noise; the best first, and the lowest id on a tie

  // Where probabilities are asked for.
  float scores[kPairCandidates];
  float top;    // the row's largest score
  float total;  // the sum of exp(score - top) over the tokens kept
};

// The terms of a row's candidates over the temperature, behind each candidate of the row before; of
// a chain's first row behind the anchor, all of them alike.
struct CandidateTerms {
  float behind[kPairCandidates][kPairCandidates];  // [before][candidate]; some number where either
                                                   // is none
};

}  // namespace orthrus::cuda
