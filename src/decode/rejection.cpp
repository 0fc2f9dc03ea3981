#include "decode/rejection.h"

#include <algorithm>
#include <cmath>

namespace orthrus {
namespace {

double probability_of(const Distribution& distribution, int32_t token) {
  const auto at = std::lower_bound(
      distribution.begin(), distribution.end(), token,
      [](const TokenProbability& entry, int32_t wanted) { return entry.token < wanted; });
  return at != distribution.end() && at->token == token ? at->probability : 0.0;
}

}  // namespace

Distribution distribution(std::span<const Candidate> candidates) {
  Distribution result;
  const float top = top_score(candidates);
  for (const Candidate& c : candidates) {
    result.push_back({c.token, std::exp(static_cast<double>(c.score) - static_cast<double>(top))});
  }
  std::sort(result.begin(), result.end(),
            [](const TokenProbability& a, const TokenProbability& b) { return a.token < b.token; });
  double total = 0;
  for (const TokenProbability& entry : result) total += entry.probability;
  for (TokenProbability& entry : result) entry.probability /= total;
  return result;
}

int32_t accept_or_resample(int32_t draft, const Distribution& q, const Distribution& p,
                           uint64_t seed, int position) {
  const double u = uniform(seed, Stream::kAccept, position, 0);
  if (u * probability_of(q, draft) <= probability_of(p, draft)) return draft;
  // The draft was likelier than it should be, so some other token is less likely than it should.
  NoisyArgmax best(seed, Stream::kSelect, position);
  for (const TokenProbability& entry : p) {
    const double residual = entry.probability - probability_of(q, entry.token);
    if (residual > 0) best.add(entry.token, std::log(residual));
  }
  return best.token() < 0 ? draft : best.token();  // p and q are equal, but for rounding
}

}  // namespace orthrus
