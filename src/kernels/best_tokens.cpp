#include "kernels/best_tokens.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/ceil_div.h"
#include "kernels/cpu/logits.h"
#include "kernels/select.h"

namespace orthrus {
namespace {

bool before(const RankedToken& a, const RankedToken& b) {
  return a.ranked != b.ranked ? a.ranked > b.ranked : a.token < b.token;
}

void keep_best(std::vector<RankedToken>& tokens, size_t count) {
  const size_t kept = std::min(count, tokens.size());
  std::partial_sort(tokens.begin(), tokens.begin() + static_cast<ptrdiff_t>(kept), tokens.end(),
                    before);
  tokens.resize(kept);
}

// The best of the candidates with their noise. Of most tokens noise could make none of the best so
// far: their words say so before any logarithm is taken.
std::vector<RankedToken> best_with_noise(std::span<const float> logits,
                                         std::span<const Candidate> candidates, size_t count,
                                         uint64_t seed, int position) {
  NoiseWords words(seed, Stream::kSelect, position);
  std::vector<RankedToken> best;
  double bound = -std::numeric_limits<double>::infinity();  // of the best so far the worst
  for (const Candidate& c : candidates) {
    const double needed = bound - static_cast<double>(c.score);
    if (needed > kMaxGumbel) continue;
    const uint32_t word = words.of(c.token);
    if (!may_reach(word, needed)) continue;
    best.push_back({c.token, logits[static_cast<size_t>(c.token)], c.score,
                    static_cast<double>(c.score) + gumbel(word)});
    if (best.size() < 8 * count) continue;
    keep_best(best, count);
    bound = best.back().ranked;
  }
  keep_best(best, count);
  return best;
}

double log_total_of(std::span<const float> scores) {
  std::vector<float> largest(ceil_div(scores.size(), cpu::kLogitTile));
  cpu::largest_of_tiles(scores, largest);
  const float most = *std::ranges::max_element(largest);
  return std::log(cpu::sum_of_exp(scores, most)) + static_cast<double>(most);
}

}  // namespace

BestTokens best_tokens(std::span<const float> logits, int position, const SamplingParams& params,
                       int count, bool with_total) {
  BestTokens best;
  if (params.greedy()) {
    for (const Candidate& c : likeliest(logits, static_cast<size_t>(count), 1)) {
      best.tokens.push_back({c.token, c.score, c.score, static_cast<double>(c.score)});
    }
    if (with_total && !best.tokens.empty()) best.log_total = log_total_of(logits);
    return best;
  }
  const std::vector<Candidate> candidates = filter(logits, params);
  if (candidates.empty()) return best;
  if (with_total) {
    std::vector<float> scores;
    scores.reserve(candidates.size());
    for (const Candidate& c : candidates) scores.push_back(c.score);
    best.log_total = log_total_of(scores);
  }
  best.tokens =
      best_with_noise(logits, candidates, static_cast<size_t>(count), params.seed, position);
  return best;
}

}  // namespace orthrus
