#include "decode/logprobs.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace orthrus {

TokenLogprobs token_logprobs(std::span<const float> row, int32_t token, int top) {
  const double most = *std::ranges::max_element(row);
  double sum = 0;
  for (const float logit : row) sum += std::exp(logit - most);
  const auto logprob_of = [&, log_sum = most + std::log(sum)](int32_t id) {
    return TokenLogprob{id, static_cast<float>(row[static_cast<size_t>(id)] - log_sum)};
  };
  TokenLogprobs result{.chosen = logprob_of(token), .top = {}};
  if (top == 0) return result;
  std::vector<int32_t> ids(row.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto count = std::min(ids.size(), static_cast<size_t>(top));
  const auto end = ids.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(ids.begin(), end, ids.end(), [&](int32_t a, int32_t b) {
    const float x = row[static_cast<size_t>(a)], y = row[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  });
  result.top.reserve(count);
  for (auto id = ids.begin(); id != end; ++id) result.top.push_back(logprob_of(*id));
  return result;
}

}  // namespace orthrus
