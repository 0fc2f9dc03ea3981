#include "kernels/pairwise.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/rows.h"

namespace orthrus {
namespace {

double dot(std::span<const float> a, const float* b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i)
    sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

// The share of candidate `chosen` in the row's softmax once each candidate's score has its term.
float share(const BestTokens& best, std::span<const double> terms, size_t chosen) {
  const auto score = [&](size_t i) { return static_cast<double>(best.tokens[i].score); };
  double most = best.log_total;
  for (size_t i = 0; i < terms.size(); ++i) most = std::max(most, score(i) + terms[i]);
  double others = std::exp(best.log_total - most), candidates = 0;
  for (size_t i = 0; i < terms.size(); ++i) {
    others -= std::exp(score(i) - most);
    candidates += std::exp(score(i) + terms[i] - most);
  }
  const double total = std::max(others, 0.0) + candidates;
  return static_cast<float>(std::exp(score(chosen) + terms[chosen] - most) / total);
}

}  // namespace

PairRow pair_row(std::span<const float> logits, int position, const SamplingParams& params,
                 const PairTables& tables, bool with_probability) {
  PairRow row{best_tokens(logits, position, params, kPairCandidates, with_probability), {}};
  const auto rank = static_cast<size_t>(tables.next->cols);
  row.next.resize(row.best.tokens.size() * rank);
  float* to = row.next.data();
  for (const RankedToken& candidate : row.best.tokens) {
    cpu::widen_row(*tables.next, candidate.token, to);
    to += rank;
  }
  return row;
}

void choose_drafts(std::span<const PairRow> rows, int32_t before, const SamplingParams& params,
                   const PairTables& tables, bool with_probability, std::span<Choice> out) {
  const double scale = params.greedy() ? 1 : 1 / static_cast<double>(params.temperature);
  std::vector<float> previous(static_cast<size_t>(tables.previous->cols));
  std::vector<double> terms;
  std::ranges::fill(out, Choice{});
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::vector<RankedToken>& candidates = rows[i].best.tokens;
    if (candidates.empty()) return;
    cpu::widen_row(*tables.previous, before, previous.data());
    terms.clear();
    size_t chosen = 0;
    for (size_t c = 0; c < candidates.size(); ++c) {
      terms.push_back(scale * dot(previous, &rows[i].next[c * previous.size()]));
      const double ranked = candidates[c].ranked + terms[c];
      const double best = candidates[chosen].ranked + terms[chosen];
      const bool lower_id = candidates[c].token < candidates[chosen].token;
      if (ranked > best || (ranked == best && lower_id)) chosen = c;
    }
    const RankedToken& draft = candidates[chosen];
    out[i] = {draft.token, draft.logit, with_probability ? share(rows[i].best, terms, chosen) : 0};
    before = draft.token;
  }
}

}  // namespace orthrus
