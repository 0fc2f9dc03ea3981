// Selecting a token: filters against a plain sort of everything, ties, broken logits, purity.
#include "kernels/select.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <random>

#include "support/fresh_seed.h"

namespace orthrus {
namespace {

TEST(Argmax, TakesTheLowestIdOnATie) {
  EXPECT_EQ(argmax(std::vector<float>{1, 3, 2, 3}), 1);
  EXPECT_EQ(argmax(std::vector<float>{-5}), 0);
}

TEST(Argmax, IsTheLargestWhereverItStands) {
  std::mt19937 random(test::fresh_seed());
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<float> logits(1 + random() % (trial % 10 == 0 ? 100000 : 2000));
    for (float& l : logits) l = static_cast<float>(static_cast<int>(random() % 2000) - 1900);
    ASSERT_EQ(argmax(logits), std::max_element(logits.begin(), logits.end()) - logits.begin());
    logits[random() % logits.size()] = std::array{NAN, INFINITY, -INFINITY}[trial % 3];
    ASSERT_EQ(argmax(logits), std::nullopt);
  }
}

TEST(Select, LogitsThatAreNotFiniteSelectNothing) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    for (const float temperature : {0.0f, 1.0f}) {
      const std::vector<float> logits{1, bad, 2};
      EXPECT_EQ(select(logits, 5, {.temperature = temperature}).id, -1);
    }
  }
  // Finite, but not once divided by the temperature.
  EXPECT_EQ(select(std::vector<float>{3e38f, 0}, 5, {.temperature = 1e-3f}).id, -1);
}

// The filters as their definitions say: sort all, cut.
std::vector<int32_t> plain_filter(std::vector<float> logits, const SamplingParams& params) {
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  for (float& l : logits) l /= params.temperature;
  std::sort(order.begin(), order.end(),
            [&](int a, int b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; });
  if (params.top_k > 0 && params.top_k < static_cast<int>(order.size())) order.resize(params.top_k);
  const float top = logits[order[0]];
  std::vector<double> mass;  // in whole units, so that no sum of them is rounded
  for (const int v : order) {
    mass.push_back(std::rint(std::exp(double(logits[v]) - double(top)) * 0x1p40));
  }
  const double total = std::accumulate(mass.begin(), mass.end(), 0.0);
  if (params.top_p < 1) {
    double sum = 0;
    size_t keep = 0;
    while (keep < order.size() && (keep == 0 || sum < double(params.top_p) * total))
      sum += mass[keep++];
    order.resize(keep);
  }
  std::erase_if(order, [&](int v) {
    return params.min_p > 0 && double(logits[v]) < double(top) + std::log(double(params.min_p));
  });
  std::sort(order.begin(), order.end());
  return order;
}

TEST(Filter, KeepsWhatTheDefinitionsKeep) {
  std::mt19937 random(test::fresh_seed());
  std::normal_distribution<float> normal(0, 3);
  for (int trial = 0; trial < 2000; ++trial) {
    std::vector<float> logits(1 + random() % 60);
    for (float& l : logits) l = normal(random);
    if (trial % 3 == 0) {  // ties
      for (float& l : logits) l = std::round(l);
    }
    const SamplingParams params{.temperature = std::array{0.3f, 0.7f, 1.0f, 2.5f}[random() % 4],
                                .top_k = std::array{0, 1, 2, 7, 1000}[random() % 5],
                                .top_p = std::array{1.0f, 0.99f, 0.8f, 0.37f, 0.01f}[random() % 5],
                                .min_p = std::array{0.0f, 0.0f, 0.05f, 0.5f, 1.0f}[random() % 5]};
    std::vector<int32_t> got;
    for (const Candidate& c : filter(logits, params)) {
      got.push_back(c.token);
      ASSERT_EQ(c.score, logits[c.token] / params.temperature);
    }
    std::sort(got.begin(), got.end());
    ASSERT_EQ(got, plain_filter(logits, params))
        << "trial " << trial << ", k " << params.top_k << ", p " << params.top_p << ", min_p "
        << params.min_p;
  }
}

// Of a vocabulary's size, from rows that leave a token to ones that leave most.
TEST(Filter, KeepsWhatTheDefinitionsKeepOfWholeRows) {
  std::mt19937 random(test::fresh_seed());
  for (int trial = 0; trial < 40; ++trial) {
    std::normal_distribution<float> normal(0, std::array{0.5f, 2.0f, 4.0f, 8.0f}[random() % 4]);
    std::vector<float> logits(20000 + random() % 20000);
    for (float& l : logits) l = normal(random);
    if (trial % 3 == 0) {  // ties, also at the cut
      for (float& l : logits) l = std::round(l);
    }
    const SamplingParams params{.temperature = std::array{0.3f, 0.7f, 1.0f, 2.5f}[random() % 4],
                                .top_p = std::array{0.999f, 0.95f, 0.5f, 1e-6f}[random() % 4],
                                .min_p = std::array{0.0f, 0.05f}[random() % 2]};
    std::vector<int32_t> got;
    for (const Candidate& c : filter(logits, params)) got.push_back(c.token);
    std::sort(got.begin(), got.end());
    ASSERT_EQ(got, plain_filter(logits, params))
        << "trial " << trial << ", t " << params.temperature << ", p " << params.top_p;
  }
}

TEST(Filter, CutsWhereASumIsTheShareItself) {
  for (const int equal : {2, 4, 16, 1024}) {
    std::vector<float> logits(2000, -1000.0f);
    for (int i = 0; i < equal; ++i) logits[static_cast<size_t>(3 + i)] = 5;
    EXPECT_EQ(filter(logits, {.temperature = 1, .top_p = 0.5f}).size(), equal / 2);
  }
}

TEST(Select, SkippingHopelessTokensChangesNothing) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 12);
  for (int position = 0; position < 300; ++position) {
    std::vector<float> logits(400);
    for (float& l : logits) l = normal(random);
    double best = -INFINITY;
    int32_t want = -1;
    for (int v = 0; v < 400; ++v) {
      const double noisy = double(logits[v]) + gumbel(9, Stream::kSelect, position, v);
      if (noisy > best) {
        best = noisy;
        want = v;
      }
    }
    ASSERT_EQ(select(logits, position, {.temperature = 1, .seed = 9}).id, want);
  }
}

TEST(Select, DependsOnSeedAndPositionAlone) {
  const std::vector<float> logits(50, 0.0f);
  const SamplingParams params{.temperature = 1, .seed = 4};
  std::vector<int32_t> first, again, other;
  for (int p = 0; p < 40; ++p) first.push_back(select(logits, p, params).id);
  for (int p = 39; p >= 0; --p) again.insert(again.begin(), select(logits, p, params).id);
  for (int p = 0; p < 40; ++p) other.push_back(select(logits, p, {.temperature = 1, .seed = 5}).id);
  EXPECT_EQ(first, again);
  EXPECT_NE(first, other);
}

}  // namespace
}  // namespace orthrus
