// Distributions, by chi-square. Seeds are fixed, so the tests always give the same answer; had they
// been fresh, each right implementation would fail one of these with probability kErrorRate.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "decode/decoder.h"
#include "decode/rejection.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/row_context.h"
#include "support/golden.h"
#include "support/model.h"

namespace orthrus {
namespace {

constexpr double kErrorRate = 1e-4;

// The probability that a chi-square variable of `degrees` exceeds x: the regularised upper
// incomplete gamma function, by its series and continued fraction (Numerical Recipes 6.2).
double chi_square_tail(double x, int degrees) {
  const double a = degrees / 2.0, y = x / 2;
  const double front = std::exp(-y + a * std::log(y) - std::lgamma(a));
  if (y < a + 1) {
    double term = 1 / a, sum = term;
    for (int n = 1; n < 1000; ++n) sum += term *= y / (a + n);
    return 1 - front * sum;
  }
  double b = y + 1 - a, c = 1e300, d = 1 / b, h = d;
  for (int i = 1; i < 1000; ++i) {
    const double an = -i * (i - a);
    b += 2;
    d = 1 / (an * d + b);
    c = b + an / c;
    h *= d * c;
  }
  return front * h;
}

TEST(ChiSquareTail, KnownValues) {
  EXPECT_NEAR(chi_square_tail(3.841, 1), 0.05, 1e-4);
  EXPECT_NEAR(chi_square_tail(18.307, 10), 0.05, 1e-4);
  EXPECT_NEAR(chi_square_tail(149.449, 100), 0.001, 1e-5);
  EXPECT_NEAR(chi_square_tail(77.929, 100), 0.95, 1e-4);
}

// Expected probabilities over tokens; those expected fewer than 5 times are one cell.
void expect_distribution(const std::map<int32_t, int>& counts, const std::map<int32_t, double>& p,
                         int draws) {
  double statistic = 0, rest_expected = 0;
  int rest = 0, cells = 0, seen = 0;
  for (const auto& [token, probability] : p) {
    const auto at = counts.find(token);
    const int count = at == counts.end() ? 0 : at->second;
    seen += count;
    const double expected = probability * draws;
    if (expected < 5) {
      rest += count;
      rest_expected += expected;
      continue;
    }
    statistic += (count - expected) * (count - expected) / expected;
    ++cells;
  }
  EXPECT_EQ(seen, draws) << "a token outside the distribution was drawn";
  if (rest_expected > 0) {
    statistic += (rest - rest_expected) * (rest - rest_expected) / std::max(rest_expected, 1.0);
    ++cells;
  }
  if (cells < 2) return;
  EXPECT_GT(chi_square_tail(statistic, cells - 1), kErrorRate)
      << "chi-square " << statistic << " with " << cells - 1 << " degrees of freedom";
}

std::vector<float> random_logits(unsigned seed, int count) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> logits(count);
  for (float& l : logits) l = normal(random);
  return logits;
}

std::map<int32_t, double> softmax_of(std::span<const float> logits, const SamplingParams& params) {
  std::map<int32_t, double> p;
  double total = 0;
  for (const Candidate& c : filter(logits, params)) total += p[c.token] = std::exp(double(c.score));
  for (auto& [token, probability] : p) probability /= total;
  return p;
}

TEST(SamplingStatistics, GumbelMaxDrawsFromSoftmaxWithEachFilter) {
  const SamplingParams all[] = {
      {.temperature = 1},
      {.temperature = 0.7f},
      {.temperature = 2.5f},
      {.temperature = 1, .top_k = 5},
      {.temperature = 1, .top_p = 0.8f},
      {.temperature = 1, .min_p = 0.1f},
      {.temperature = 0.6f, .top_k = 20, .top_p = 0.95f},
      {.temperature = 1.5f, .top_k = 12, .top_p = 0.9f, .min_p = 0.02f},
  };
  constexpr int kDraws = 40000;
  for (SamplingParams params : all) {
    SCOPED_TRACE(testing::Message() << "T " << params.temperature << ", k " << params.top_k
                                    << ", p " << params.top_p << ", min_p " << params.min_p);
    const std::vector<float> logits = random_logits(11, 40);
    // Over positions with one seed, and over seeds at one position.
    for (const bool over_seeds : {false, true}) {
      std::map<int32_t, int> counts;
      for (int i = 0; i < kDraws; ++i) {
        params.seed = over_seeds ? i : 77;
        ++counts[select(logits, over_seeds ? 123 : i, params).id];
      }
      expect_distribution(counts, softmax_of(logits, params), kDraws);
    }
  }
}

TEST(SamplingStatistics, NeighbouringPositionsAreIndependent) {
  const std::vector<float> logits(6, 0.0f);
  const SamplingParams params{.temperature = 1, .seed = 3};
  constexpr int kDraws = 40000;
  std::map<int32_t, int> pairs;
  for (int i = 0; i < kDraws; ++i) {
    ++pairs[select(logits, 2 * i, params).id * 6 + select(logits, 2 * i + 1, params).id];
  }
  std::map<int32_t, double> p;
  for (int pair = 0; pair < 36; ++pair) p[pair] = 1.0 / 36;
  expect_distribution(pairs, p, kDraws);
}

TEST(SamplingStatistics, TheRejectionRuleGivesTheArDistributionWhateverTheDraft) {
  const SamplingParams all[] = {{.temperature = 1},
                                {.temperature = 0.8f, .top_k = 6, .top_p = 0.9f}};
  constexpr int kDraws = 40000;
  for (SamplingParams params : all) {
    for (const unsigned draft_seed : {21u, 22u, 23u}) {
      const auto ar = random_logits(20, 12), diffusion = random_logits(draft_seed, 12);
      std::map<int32_t, int> counts;
      int accepted = 0;
      for (int i = 0; i < kDraws; ++i) {
        const uint64_t seed = i;
        const auto candidates = filter(diffusion, params);
        const int32_t draft = draw(candidates, seed, Stream::kDraft, 5);
        const int32_t token = accept_or_resample(draft, distribution(candidates),
                                                 distribution(filter(ar, params)), seed, 5);
        ++counts[token];
        accepted += token == draft;
      }
      const auto p = softmax_of(ar, params);
      expect_distribution(counts, p, kDraws);
      // The acceptance rate is sum of min(p, q): within five standard deviations.
      double rate = 0;
      for (const auto& [token, q] : softmax_of(diffusion, params)) {
        const auto at = p.find(token);
        rate += std::min(q, at == p.end() ? 0.0 : at->second);
      }
      EXPECT_NEAR(accepted, rate * kDraws, 5 * std::sqrt(kDraws * rate * (1 - rate)));
    }
  }
}

// With penalties the rows of a cycle depend on the drafts before them, and on what was resampled.
TEST(SamplingStatistics, TheRejectionRuleGivesThePenalisedArDistribution) {
  const Golden golden = load_golden("tied");
  const CpuWeights model = load_model(golden.directory);
  const CpuOps ops(1);
  const std::vector<int32_t>& prompt = golden.cases[1].prompt;
  constexpr int kTokens = 4, kDraws = 6000;
  const SamplingParams params{.temperature = 1.5f,
                              .top_k = 2,
                              .repetition_penalty = 1.4f,
                              .frequency_penalty = 1,
                              .logit_bias = {{prompt[0], 2}}};
  // The probabilities of all continuations, by their numbers.
  std::map<std::vector<int32_t>, int32_t> numbers;
  std::map<int32_t, double> p;
  const auto explore = [&](const auto& self, std::vector<int32_t> output, double so_far) -> void {
    if (output.size() == kTokens) {
      const auto number = static_cast<int32_t>(numbers.size());
      numbers[output] = number;
      p[number] = so_far;
      return;
    }
    TestSequence s(model, ops);
    CpuForwardPass pass(model, ops);
    std::vector<int32_t> tokens = prompt;
    tokens.insert(tokens.end(), output.begin(), output.end());
    const int last = static_cast<int>(tokens.size()) - 1;
    const Span span{&s.sequence, tokens, View::kAutoregressive, last, last + 1};
    ASSERT_EQ(run_and_commit(pass, std::span(&span, 1)), Status::kOk);
    const ConstRows logits = pass.head_rows(0).logits;
    std::vector<float> row(logits.row(0), logits.row(0) + logits.cols);
    RowContext context(params, prompt, model.config.vocab_size, kTokens);
    context.adjust(row, output);
    output.push_back(0);
    for (const auto& [token, probability] : softmax_of(row, params)) {
      output.back() = token;
      self(self, output, so_far * probability);
    }
  };
  explore(explore, {}, 1);
  ASSERT_EQ(numbers.size(), 1u << kTokens);
  std::map<int32_t, int> counts;
  int accepted = 0, resampled = 0;
  for (uint64_t seed = 0; seed < kDraws; ++seed) {
    TestSequence s(model, ops);
    CpuForwardPass pass(model, ops);
    FixedPolicy policy(kTokens);
    DecodeParams decode{.block_size = kTokens,
                        .accept = AcceptRule::kRejection,
                        .sampling = params,
                        .max_tokens = kTokens,
                        .prefill_chunk = 64};
    decode.sampling.seed = seed;
    Decoder decoder(model.config, s.sequence, prompt, policy, decode);
    std::vector<int32_t> output;
    while (!decoder.done()) {
      const Span span = decoder.next();
      ASSERT_EQ(s.sequence.reserve(static_cast<int>(span.tokens.size())), Status::kOk);
      ASSERT_EQ(pass.run(std::span(&span, 1)), Status::kOk);
      ASSERT_EQ(decoder.take(pass.head_rows(0)), Status::kOk);
      output.insert(output.end(), decoder.emitted().begin(), decoder.emitted().end());
    }
    ASSERT_TRUE(numbers.contains(output));
    ++counts[numbers[output]];
    accepted += decoder.counts().accepted;
    resampled += decoder.counts().ar_passes > 1;
  }
  EXPECT_GT(accepted, kDraws / 10);
  EXPECT_GT(resampled, kDraws / 10);
  expect_distribution(counts, p, kDraws);
}

// Why drafts are selected with the AR view's noise: they agree far more often than drafts drawn on
// their own would.
TEST(SamplingStatistics, CoupledDraftsMatchMoreOftenThanIndependentOnes) {
  const auto ar = random_logits(20, 12);
  auto diffusion = ar;
  for (float& l : diffusion) l *= 0.9f;
  const SamplingParams params{.temperature = 1, .seed = 1};
  int coupled = 0, independent = 0;
  for (int position = 0; position < 5000; ++position) {
    const auto y = select(ar, position, params).id;
    coupled += select(diffusion, position, params).id == y;
    independent += draw(filter(diffusion, params), params.seed, Stream::kDraft, position) == y;
  }
  EXPECT_GT(coupled, 4000);
  EXPECT_LT(independent, 2500);
}

}  // namespace
}  // namespace orthrus
