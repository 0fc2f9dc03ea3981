// The pairwise term: a diffusion view's drafts that know the token before them.
//
// A block's rows give their logits l all at once, none knowing what the others will choose. The
// drafts are then chosen one after the other: a row's draft is the token v with the largest
//
//   l[v] + previous[u] . next[v]                               greedy
//   (l[v] + previous[u] . next[v]) / T + noise(position, v)    at a temperature T
//
// of equals the lowest id, where u is the token at the row's own position: the anchor, or the draft
// of the row before. The tables are [vocab_size][rank]. The term counts only for a row's
// kPairCandidates best tokens without it, and filters are those of the row without it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/best_tokens.h"
#include "kernels/choice.h"
#include "kernels/ops.h"
#include "orthrus/sampling.h"

namespace orthrus {

inline constexpr int kPairCandidates = 32;

// None, where the heads have no such term.
struct PairTables {
  const Matrix* previous = nullptr;
  const Matrix* next = nullptr;

  explicit operator bool() const { return next != nullptr; }
};

// What a row has to offer, whichever token is before it: rows are made ready in any order.
struct PairRow {
  BestTokens best;
  std::vector<float> next{};  // the candidates' rows of that table

  // Or the terms themselves, over the temperature, where a device has found them: behind each token
  // that may stand before, [before][kPairCandidates].
  std::vector<int32_t> before{};
  std::vector<float> terms{};
};

PairRow pair_row(std::span<const float> logits, int position, const SamplingParams& params,
                 const PairTables& tables, bool with_probability);

// The drafts of neighbouring rows of a block; `before` is the token at the first one's position.
// The probabilities are those of the softmax with the term. Where a row's logits were not finite,
// nothing is chosen from it and those after it.
void choose_drafts(std::span<const PairRow> rows, int32_t before, const SamplingParams& params,
                   const PairTables& tables, bool with_probability, std::span<Choice> out);

// A candidate of a row, behind a certain token.
struct NextToken {
  int32_t token = 0;
  // Greedy: its share of the softmax with the term. At a temperature that of exp(score + noise)
  // among the candidates: how far before the others the noise, which is known, puts it.
  float confidence = 0;
};

// What a row has to offer behind `before`: at most kNextTokens, best first, the first being the one
// that choose_drafts() would choose. The row knows its total.
inline constexpr int kNextTokens = 16;
void next_tokens(const PairRow& row, int32_t before, const SamplingParams& params,
                 const PairTables& tables, std::vector<NextToken>& out);

}  // namespace orthrus
