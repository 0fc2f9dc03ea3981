#include "kernels/select.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>

#include "base/ceil_div.h"
#include "kernels/cpu/logits.h"

namespace orthrus {
namespace {

bool is_finite(float x) {
  return std::abs(x) <= std::numeric_limits<float>::max();
}

// The order in which filters keep tokens: likelier first, lower ids first among equals.
bool before(const Candidate& a, const Candidate& b) {
  return a.score != b.score ? a.score > b.score : a.token < b.token;
}

// Its softmax in units of 2^-40 of the likeliest token's: a whole number, so that sums are the same
// in any order, and on any device.
uint64_t mass(float score, float top) {
  const double below = static_cast<double>(score) - static_cast<double>(top);
  return static_cast<uint64_t>(std::llrint(std::exp(below) * 0x1p40));
}

std::vector<Candidate> all_of(std::span<const float> logits, float temperature) {
  std::vector<Candidate> all(logits.size());
  bool finite = true;
  for (size_t v = 0; v < logits.size(); ++v) {
    all[v] = {static_cast<int32_t>(v), logits[v] / temperature};
    finite &= is_finite(all[v].score);
  }
  if (!finite) all.clear();
  return all;
}

uint64_t mass_wanted(double top_p, double total) {
  return std::max(uint64_t{1}, static_cast<uint64_t>(std::ceil(top_p * total)));
}

void keep_top_p(std::vector<Candidate>& kept, double top_p) {
  if (top_p >= 1.0) return;
  const float top = top_score(kept);
  uint64_t total = 0;
  for (const Candidate& c : kept) total += mass(c.score, top);
  const uint64_t wanted = mass_wanted(top_p, static_cast<double>(total));
  // A heap gives the likeliest first without sorting the long tail that is cut.
  const auto after = [](const Candidate& a, const Candidate& b) { return before(b, a); };
  std::make_heap(kept.begin(), kept.end(), after);
  auto end = kept.end();
  uint64_t sum = 0;
  do {
    std::pop_heap(kept.begin(), end, after);
    --end;
    sum += mass(end->score, top);
  } while (end != kept.begin() && sum < wanted);
  kept.erase(kept.begin(), end);
}

// What keep_top_p leaves of all tokens, where it can be told without the whole numbers of all of
// them: their total is estimated from both sides, and the likeliest tokens reach both shares of it
// at the same one. Nothing where it can't be told so.
std::vector<Candidate> likeliest_top_p(std::span<const float> logits, double top_p,
                                       float temperature) {
  constexpr size_t kMost = 256;       // texts rarely leave as many
  constexpr double kError = 0x1p-13;  // of the estimate: ten times what float arithmetic makes
  std::vector<Candidate> found = likeliest(logits, kMost, temperature);
  if (found.empty()) return {};
  const float top = found.front().score;
  std::vector<float> scores(logits.size());
  std::ranges::transform(logits, scores.begin(), [=](float x) { return x / temperature; });
  const double total = cpu::sum_of_exp(scores, top) * 0x1p40;
  const uint64_t at_least = mass_wanted(top_p, total * (1 - kError));
  const uint64_t at_most = mass_wanted(top_p, total * (1 + kError));
  uint64_t sum = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    sum += mass(found[i].score, top);
    if (sum < at_least) continue;
    found.resize(sum < at_most ? 0 : i + 1);
    return found;
  }
  return {};
}

void keep_min_p(std::vector<Candidate>& kept, float min_p) {
  if (min_p <= 0) return;
  const double bound = static_cast<double>(top_score(kept)) + std::log(static_cast<double>(min_p));
  std::erase_if(kept, [&](const Candidate& c) { return static_cast<double>(c.score) < bound; });
}

}  // namespace

std::optional<int32_t> argmax(std::span<const float> logits) {
  using cpu::kLogitTile;
  std::array<float, 64> largest;
  float most = -std::numeric_limits<float>::infinity();
  size_t tile = 0;  // the first that has it
  for (size_t begin = 0; begin < logits.size(); begin += largest.size() * kLogitTile) {
    const auto part =
        logits.subspan(begin, std::min(largest.size() * kLogitTile, logits.size() - begin));
    const auto tiles = std::span(largest).first(ceil_div(part.size(), kLogitTile));
    if (!cpu::largest_of_tiles(part, tiles)) return std::nullopt;
    const auto best = std::ranges::max_element(tiles);
    if (*best <= most) continue;
    most = *best;
    tile = begin + static_cast<size_t>(best - tiles.begin()) * kLogitTile;
  }
  return static_cast<int32_t>(std::ranges::find(logits.subspan(tile), most) - logits.begin());
}

std::vector<Candidate> likeliest(std::span<const float> logits, size_t count, float temperature) {
  using cpu::kLogitTile;
  std::vector<float> largest(ceil_div(logits.size(), kLogitTile));
  if (!cpu::largest_of_tiles(logits, largest)) return {};
  for (float& logit : largest) logit /= temperature;
  if (!is_finite(*std::ranges::max_element(largest))) return {};
  // `count` tiles have a token of at least the bound, so that what is below it is not wanted.
  float bound = -std::numeric_limits<float>::infinity();
  if (count <= largest.size()) {
    std::vector<float> order = largest;
    const auto last = order.begin() + static_cast<ptrdiff_t>(count) - 1;
    std::ranges::nth_element(order, last, std::greater{});
    bound = *last;
  }
  std::vector<Candidate> found;
  for (size_t tile = 0; tile < largest.size(); ++tile) {
    if (largest[tile] < bound) continue;
    const size_t end = std::min((tile + 1) * kLogitTile, logits.size());
    for (size_t v = tile * kLogitTile; v < end; ++v) {
      const float score = logits[v] / temperature;
      if (score >= bound) found.push_back({static_cast<int32_t>(v), score});
    }
  }
  const size_t kept = std::min(count, found.size());
  std::ranges::partial_sort(found, found.begin() + static_cast<ptrdiff_t>(kept), before);
  found.resize(kept);
  return found;
}

std::vector<Candidate> filter(std::span<const float> logits, const SamplingParams& params) {
  const double top_p = static_cast<double>(params.top_p);
  std::vector<Candidate> kept;
  if (params.top_k <= 0 && top_p < 1) kept = likeliest_top_p(logits, top_p, params.temperature);
  if (kept.empty()) {
    kept = params.top_k > 0
               ? likeliest(logits, static_cast<size_t>(params.top_k), params.temperature)
               : all_of(logits, params.temperature);
    if (kept.empty()) return kept;
    keep_top_p(kept, top_p);
  }
  keep_min_p(kept, params.min_p);
  return kept;
}

float top_score(std::span<const Candidate> candidates) {
  return std::min_element(candidates.begin(), candidates.end(), before)->score;
}

int32_t draw(std::span<const Candidate> candidates, uint64_t seed, Stream stream, int position) {
  NoisyArgmax best(seed, stream, position);
  for (const Candidate& c : candidates) best.add(c.token, static_cast<double>(c.score));
  return best.token();
}

Choice select(std::span<const float> logits, int position, const SamplingParams& params,
              bool with_probability) {
  std::vector<Candidate> candidates;
  int32_t id = -1;
  if (params.greedy()) {
    id = argmax(logits).value_or(-1);
  } else if (candidates = filter(logits, params); !candidates.empty()) {
    id = draw(candidates, params.seed, Stream::kSelect, position);
  }
  if (id < 0) return {};
  if (!with_probability) return {id, logits[static_cast<size_t>(id)], 0};
  if (params.greedy()) candidates = filter(logits, {.temperature = 1});
  return {id, logits[static_cast<size_t>(id)], probability(candidates, id)};
}

float probability(std::span<const Candidate> candidates, int32_t token) {
  float score = 0;
  for (const Candidate& c : candidates) {
    if (c.token == token) score = c.score;
  }
  double total = 0;
  for (const Candidate& c : candidates) total += std::exp(static_cast<double>(c.score) - score);
  return static_cast<float>(1 / total);
}

}  // namespace orthrus
