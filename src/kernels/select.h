// Selecting a token from a row of logits: a pure function of the row, the position and the
// parameters.
#pragma once

#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "kernels/choice.h"
#include "kernels/philox.h"
#include "orthrus/sampling.h"

namespace orthrus {

// The token with the largest logit, the lowest id on a tie; nothing when a logit is not finite.
std::optional<int32_t> argmax(std::span<const float> logits);

// A token that the filters leave; score is its logit over the temperature.
struct Candidate {
  int32_t token;
  float score;
};

// The `count` likeliest tokens, or all: best first, of equal scores the lowest id. None when a
// logit, or the largest one's score, is not finite.
std::vector<Candidate> likeliest(std::span<const float> logits, size_t count, float temperature);

// The tokens that top-k, top-p and min-p leave, never none, in no particular order. Where filters
// cut between equal scores, lower ids stay. top-p counts probabilities in units of 2^-40 of the
// likeliest token's. Empty when a logit is not finite. Not for greedy parameters.
std::vector<Candidate> filter(std::span<const float> logits, const SamplingParams& params);

float top_score(std::span<const Candidate> candidates);

// Gumbel-max: argmax over the candidates of score + noise is a draw from softmax(scores).
int32_t draw(std::span<const Candidate> candidates, uint64_t seed, Stream stream, int position);

// The token for `position`: greedy, or filtered and drawn with Stream::kSelect. Drafts selected
// from the diffusion view's row with the noise that the AR view's are selected with match often
// (Gumbel coupling, arXiv 2408.07978).
Choice select(std::span<const float> logits, int position, const SamplingParams& params,
              bool with_probability = false);

// The probability of `token`, one of the candidates, in their softmax.
float probability(std::span<const Candidate> candidates, int32_t token);

// The token with the largest value + noise, the lowest id on a tie.
class NoisyArgmax {
 public:
  NoisyArgmax(uint64_t seed, Stream stream, int position) : words_(seed, stream, position) {}

  void add(int32_t token, double value) {
    if (best_ - value > kMaxGumbel) return;  // no noise could make it the largest
    const uint32_t word = words_.of(token);
    if (!may_reach(word, best_ - value)) return;
    const double noisy = value + gumbel(word);
    if (noisy > best_ || (noisy == best_ && token < token_)) {
      best_ = noisy;
      token_ = token;
    }
  }
  int32_t token() const { return token_; }  // -1 where nothing was added

 private:
  NoiseWords words_;
  double best_ = -std::numeric_limits<double>::infinity();
  int32_t token_ = -1;
};

}  // namespace orthrus
