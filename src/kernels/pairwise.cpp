#include "kernels/pairwise.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/cpu/rows.h"

namespace orthrus {
namespace {

// In eight running sums, which the processor adds to side by side.
double dot(std::span<const float> a, const float* b) {
  constexpr size_t kSums = 8;
  std::array<double, kSums> sums{};
  const auto product = [&](size_t i) {
    return static_cast<double>(a[i]) * static_cast<double>(b[i]);
  };
  size_t i = 0;
  for (; i + kSums <= a.size(); i += kSums) {
    for (size_t s = 0; s < kSums; ++s) sums[s] += product(i + s);
  }
  for (; i < a.size(); ++i) sums[0] += product(i);
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

// The term of each of the row's candidates behind `before`, over the temperature.
void get_terms(const PairRow& row, int32_t before, const SamplingParams& params,
               const PairTables& tables, std::vector<float>& previous, std::vector<double>& terms) {
  terms.assign(row.best.tokens.size(), 0);
  if (!row.terms.empty()) {
    const auto place = std::ranges::find(row.before, before) - row.before.begin();
    if (place == std::ssize(row.before)) return;
    const float* const behind = &row.terms[static_cast<size_t>(place) * kPairCandidates];
    std::copy(behind, behind + terms.size(), terms.begin());
    return;
  }
  if (!tables) return;
  const double scale = params.greedy() ? 1 : 1 / static_cast<double>(params.temperature);
  previous.resize(static_cast<size_t>(tables.previous->cols));
  cpu::widen_row(*tables.previous, before, previous.data());
  for (size_t c = 0; c < terms.size(); ++c) {
    terms[c] = scale * dot(previous, &row.next[c * previous.size()]);
  }
}

// Whether candidate a goes before candidate b, each with its term.
bool goes_before(const BestTokens& best, std::span<const double> terms, size_t a, size_t b) {
  const double of_a = best.tokens[a].ranked + terms[a], of_b = best.tokens[b].ranked + terms[b];
  return of_a != of_b ? of_a > of_b : best.tokens[a].token < best.tokens[b].token;
}

// Logarithm of the row's softmax total once each candidate's score has its term. Of fewer
// candidates than there may be it is theirs alone: what rounding leaves of the total behind them
// would be much beside candidates that their terms put far down.
double log_total_with(const BestTokens& best, std::span<const double> terms) {
  const auto score = [&](size_t i) { return static_cast<double>(best.tokens[i].score); };
  double others = terms.size() < kPairCandidates ? 0 : 1;  // their share of the total
  for (size_t i = 0; i < terms.size(); ++i) others -= std::exp(score(i) - best.log_total);
  double most = others > 0 ? best.log_total : -std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < terms.size(); ++i) most = std::max(most, score(i) + terms[i]);
  double total = others > 0 ? others * std::exp(best.log_total - most) : 0;
  for (size_t i = 0; i < terms.size(); ++i) total += std::exp(score(i) + terms[i] - most);
  return most + std::log(total);
}

}  // namespace

PairRow pair_row(std::span<const float> logits, int position, const SamplingParams& params,
                 const PairTables& tables, bool with_probability) {
  PairRow row{.best = best_tokens(logits, position, params, kPairCandidates, with_probability)};
  if (!tables) return row;
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
  std::vector<float> previous;
  std::vector<double> terms;
  std::ranges::fill(out, Choice{});
  for (size_t i = 0; i < rows.size(); ++i) {
    const BestTokens& best = rows[i].best;
    if (best.tokens.empty()) return;
    get_terms(rows[i], before, params, tables, previous, terms);
    size_t chosen = 0;
    for (size_t c = 1; c < terms.size(); ++c) {
      if (goes_before(best, terms, c, chosen)) chosen = c;
    }
    const RankedToken& draft = best.tokens[chosen];
    out[i] = {draft.token, draft.logit, 0};
    if (with_probability) {
      const double score = static_cast<double>(draft.score) + terms[chosen];
      out[i].probability = static_cast<float>(std::exp(score - log_total_with(best, terms)));
    }
    before = draft.token;
  }
}

void next_tokens(const PairRow& row, int32_t before, const SamplingParams& params,
                 const PairTables& tables, std::vector<NextToken>& out) {
  out.clear();
  const BestTokens& best = row.best;
  if (best.tokens.empty()) return;
  std::vector<float> previous;
  std::vector<double> terms;
  get_terms(row, before, params, tables, previous, terms);
  std::vector<size_t> order(terms.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, [&](size_t a, size_t b) { return goes_before(best, terms, a, b); });
  const auto value = [&](size_t c) { return best.tokens[c].ranked + terms[c]; };
  double log_total = 0;
  if (params.greedy()) {
    log_total = log_total_with(best, terms);
  } else {
    double total = 0;
    for (size_t c = 0; c < terms.size(); ++c) total += std::exp(value(c) - value(order[0]));
    log_total = value(order[0]) + std::log(total);
  }
  for (const size_t c : std::span(order).first(std::min<size_t>(order.size(), kNextTokens))) {
    out.push_back({best.tokens[c].token, static_cast<float>(std::exp(value(c) - log_total))});
  }
}

}  // namespace orthrus
