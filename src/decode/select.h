// Selecting a token from a row of logits: pure functions of the row, the position and the
// parameters.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "decode/philox.h"
#include "orthrus/sampling.h"

namespace orthrus {

// The token with the largest logit, the lowest id on a tie; nothing when a logit is not finite.
std::optional<int32_t> argmax(std::span<const float> logits);

// A token that the filters leave; score is its logit over the temperature.
struct Candidate {
  int32_t token;
  float score;
};

// The tokens that top-k, top-p and min-p leave, never none, in no particular order. Where filters
// cut between equal scores, lower ids stay. Empty when a logit is not finite. Not for greedy
// parameters.
std::vector<Candidate> filter(std::span<const float> logits, const SamplingParams& params);

// Gumbel-max: argmax over the candidates of score + noise is a draw from softmax(scores).
int32_t draw(std::span<const Candidate> candidates, uint64_t seed, Stream stream, int position);

// The token at `position` that the AR view selects from its row of logits: greedy, or filtered and
// drawn with Stream::kSelect. Drafts selected from the diffusion view's row with the same noise
// match often (Gumbel coupling, arXiv 2408.07978). Nothing when a logit is not finite.
std::optional<int32_t> select(std::span<const float> logits, int position,
                              const SamplingParams& params);

// The probability of `token`, one of the candidates, in their softmax.
float probability(std::span<const Candidate> candidates, int32_t token);

// For the rejection rule: probabilities of the tokens that the filters leave, by ascending id.
struct TokenProbability {
  int32_t token;
  double probability;
};
using Distribution = std::vector<TokenProbability>;

Distribution distribution(std::span<const Candidate> candidates);

// Speculative sampling (arXiv 2211.17192) of one position: `draft` was drawn from q with
// Stream::kDraft. Returns it with probability min(1, p / q), else a draw from max(0, p - q)
// normalised, which is not the draft.
int32_t accept_or_resample(int32_t draft, const Distribution& q, const Distribution& p,
                           uint64_t seed, int position);

}  // namespace orthrus
