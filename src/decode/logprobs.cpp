#include "decode/logprobs.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "base/ceil_div.h"
#include "kernels/cpu/logits.h"

namespace orthrus {
namespace {

using cpu::kLogitTile;

std::vector<float> tiles_of(std::span<const float> row, double& log_sum) {
  std::vector<float> largest(ceil_div(row.size(), kLogitTile));
  if (cpu::largest_of_tiles(row, largest)) {
    const float most = *std::ranges::max_element(largest);
    log_sum = most + std::log(cpu::sum_of_exp(row, most));
  } else {
    log_sum = std::numeric_limits<double>::quiet_NaN();
  }
  return largest;
}

// The likeliest first, of equal ones the lowest id. `largest` is what each tile has.
std::vector<int32_t> likeliest(std::span<const float> row, std::span<const float> largest,
                               size_t count) {
  count = std::min(count, row.size());
  // So many tiles have a logit of `least` or more, so no smaller one is among the likeliest.
  float least = -std::numeric_limits<float>::infinity();
  if (count <= largest.size()) {
    std::vector<float> sorted(largest.begin(), largest.end());
    const auto nth = sorted.begin() + static_cast<std::ptrdiff_t>(count) - 1;
    std::ranges::nth_element(sorted, nth, std::greater());
    least = *nth;
  }
  std::vector<int32_t> ids;
  for (size_t tile = 0; tile < largest.size(); ++tile) {
    if (largest[tile] < least) continue;
    const size_t begin = tile * kLogitTile, end = std::min(begin + kLogitTile, row.size());
    for (size_t i = begin; i < end; ++i) {
      if (row[i] >= least) ids.push_back(static_cast<int32_t>(i));
    }
  }
  const auto end = ids.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(ids.begin(), end, ids.end(), [&](int32_t a, int32_t b) {
    const float x = row[static_cast<size_t>(a)], y = row[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  });
  ids.erase(end, ids.end());
  return ids;
}

}  // namespace

TokenLogprobs token_logprobs(std::span<const float> row, int32_t token, int top) {
  double log_sum = 0;
  const std::vector<float> largest = tiles_of(row, log_sum);
  const auto logprob_of = [&](int32_t id) {
    return TokenLogprob{id, static_cast<float>(row[static_cast<size_t>(id)] - log_sum)};
  };
  TokenLogprobs result{.chosen = logprob_of(token), .top = {}};
  if (top == 0 || std::isnan(log_sum)) return result;
  result.top.reserve(static_cast<size_t>(top));
  for (const int32_t id : likeliest(row, largest, static_cast<size_t>(top))) {
    result.top.push_back(logprob_of(id));
  }
  return result;
}

double token_logprob(std::span<const float> row, int32_t token) {
  double log_sum = 0;
  tiles_of(row, log_sum);
  return row[static_cast<size_t>(token)] - log_sum;
}

}  // namespace orthrus
