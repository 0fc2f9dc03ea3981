// How a token is chosen from the logits of its position.
#pragma once

#include <cstdint>
#include <vector>

namespace orthrus {

// Added to the logits of a token: [-100, 100], or -infinity, with which it is never chosen.
struct TokenBias {
  int32_t token = 0;
  float bias = 0;

  bool operator==(const TokenBias&) const = default;
};

// The chosen token is a pure function of (logits, position, the tokens before it, these
// parameters): docs/exactness.md. First penalties and biases make each token v's logit
//
//   x = x < 0 ? x * repetition_penalty : x / repetition_penalty   where v occurs in the prompt or
//                                                                 in the output so far
//   x = x - frequency_penalty * n      where v occurs n > 0 times in the output so far
//   x = x - presence_penalty           likewise
//   x = x + bias                       the sum of v's biases
//
// in this order, each operation rounded to a float. Then greedy takes the token with the largest,
// the lowest id on a tie; else filters apply in the order top-k, top-p, min-p, on
// softmax(x / temperature).
struct SamplingParams {
  float temperature = 0.0f;  // [0, 100]; below 1e-5: greedy, and filters and seed have no effect
  int top_k = 0;             // keep the k likeliest tokens; 0: all
  float top_p = 1.0f;  // (0, 1]: keep the fewest likeliest tokens of this share of what is left
  float min_p = 0.0f;  // [0, 1]: keep tokens at least min_p times as likely as the likeliest
  uint64_t seed = 0;

  float repetition_penalty = 1.0f;      // [1e-6, 100]; 1: none. As transformers has it
  float presence_penalty = 0.0f;        // [-2, 2]; this and the next as OpenAI's API has them
  float frequency_penalty = 0.0f;       // [-2, 2]
  std::vector<TokenBias> logit_bias{};  // in any order; not every token at -infinity

  bool greedy() const { return temperature < 1e-5f; }
};

// How drafts are accepted.
enum class AcceptRule : uint8_t {
  kMatch,      // a draft is accepted when it is the token that the AR view selects: the output is
               // the one that plain AR decoding gives with this seed
  kRejection,  // speculative sampling (arXiv 2211.17192): the output has the AR view's
               // distribution, but depends on the drafts too. The same as kMatch when greedy.
};

}  // namespace orthrus
