// How a token is chosen from the logits of its position.
#pragma once

#include <cstdint>

namespace orthrus {

// The chosen token is a pure function of (logits, position, these parameters): docs/exactness.md.
// Filters apply in the order top-k, top-p, min-p, on softmax(logits / temperature).
struct SamplingParams {
  float temperature = 0.0f;  // [0, 100]; below 1e-5: greedy, and what follows has no effect
  int top_k = 0;             // keep the k likeliest tokens; 0: all
  float top_p = 1.0f;  // (0, 1]: keep the fewest likeliest tokens of this share of what is left
  float min_p = 0.0f;  // [0, 1]: keep tokens at least min_p times as likely as the likeliest
  uint64_t seed = 0;

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
