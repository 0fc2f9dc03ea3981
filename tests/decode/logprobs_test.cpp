// Log-probabilities against their definition, on every instruction set, with the same bits.
#include "decode/logprobs.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <random>

#include "kernels/cpu/instruction_sets.h"
#include "support/fresh_seed.h"

namespace orthrus {
namespace {

std::vector<double> by_definition(std::span<const float> row) {
  const double most = *std::ranges::max_element(row);
  double sum = 0;
  for (const float x : row) sum += std::exp(x - most);
  std::vector<double> logprobs;
  for (const float x : row) logprobs.push_back(x - most - std::log(sum));
  return logprobs;
}

std::vector<int32_t> sorted_ids(std::span<const float> row) {
  std::vector<int32_t> ids(row.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::ranges::stable_sort(ids, [&](int32_t a, int32_t b) { return row[a] > row[b]; });
  return ids;
}

// Calls check(name) with each instruction set in use.
void on_every_instruction_set(const std::function<void(const char*)>& check) {
  for (const int64_t set : cpu::instruction_sets()) {
    hwy::SetSupportedTargetsForTest(set);
    check(hwy::TargetName(set));
  }
  hwy::SetSupportedTargetsForTest(0);
}

TEST(Logprobs, AreTheDefinitionsWithTheSameBitsOnEveryInstructionSet) {
  std::mt19937 random(test::fresh_seed());
  for (int trial = 0; trial < 300; ++trial) {
    SCOPED_TRACE(testing::Message() << "trial " << trial);
    const size_t size = 1 + random() % (trial % 10 == 0 ? 20000 : 1100);
    // Also so wide that most exponentials vanish, and so that many logits are equal.
    std::normal_distribution<float> normal(0, trial % 3 == 0 ? 60.0f : 3.0f);
    std::vector<float> row(size);
    for (float& x : row) x = trial % 4 == 0 ? std::round(normal(random)) : normal(random);
    const int top = static_cast<int>(random() % 21);
    const auto token = static_cast<int32_t>(random() % size);
    const std::vector<double> want = by_definition(row);
    const std::vector<int32_t> order = sorted_ids(row);
    const TokenLogprobs first = token_logprobs(row, token, top);
    on_every_instruction_set([&](const char* set) {
      const TokenLogprobs got = token_logprobs(row, token, top);
      ASSERT_EQ(got, first) << set;
      ASSERT_EQ(got.chosen.token, token);
      ASSERT_EQ(static_cast<float>(token_logprob(row, token)), got.chosen.logprob);
      ASSERT_NEAR(got.chosen.logprob, want[token], 1e-6 * (1 - want[token])) << set;
      ASSERT_EQ(got.top.size(), std::min(size, static_cast<size_t>(top)));
      for (size_t i = 0; i < got.top.size(); ++i) {
        ASSERT_EQ(got.top[i].token, order[i]) << set << ", number " << i;
        ASSERT_NEAR(got.top[i].logprob, want[order[i]], 1e-6 * (1 - want[order[i]])) << set;
      }
    });
  }
}

TEST(Logprobs, OfLogitsThatAreNotFiniteAreNone) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    for (const size_t size : {1, 5, 16, 600, 1024}) {
      for (const size_t at : {size_t{0}, size / 2, size - 1}) {
        std::vector<float> row(size, 1);
        row[at] = bad;
        on_every_instruction_set([&](const char* set) {
          EXPECT_TRUE(std::isnan(token_logprobs(row, 0, 3).chosen.logprob))
              << set << ": " << bad << " at " << at << " of " << size;
        });
      }
    }
  }
  const std::vector<float> extremes{3e38f, -3e38f, 0};
  EXPECT_EQ(token_logprobs(extremes, 0, 0).chosen.logprob, 0);
}

}  // namespace
}  // namespace orthrus
