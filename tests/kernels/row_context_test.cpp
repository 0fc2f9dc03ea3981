// Penalties and biases: against transformers' numbers, and against their definitions, computed from
// all tokens anew for each token of the vocabulary.
#include "kernels/row_context.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "kernels/select.h"
#include "support/fresh_seed.h"

namespace orthrus {
namespace {

constexpr float kSuppressed = -std::numeric_limits<float>::infinity();

// As SamplingParams says it.
std::vector<float> plainly(std::vector<float> row, const SamplingParams& params,
                           const std::vector<int32_t>& prompt, const std::vector<int32_t>& output) {
  for (int32_t v = 0; v < static_cast<int32_t>(row.size()); ++v) {
    float& x = row[v];
    const auto n = std::ranges::count(output, v);
    if (n > 0 || std::ranges::count(prompt, v) > 0) {
      x = x < 0 ? x * params.repetition_penalty : x / params.repetition_penalty;
    }
    if (n > 0) {
      const float product = params.frequency_penalty * static_cast<float>(n);
      x = x - product;
      x = x - params.presence_penalty;
    }
    float sum = 0;
    for (const TokenBias& b : params.logit_bias) sum += b.token == v ? b.bias : 0;
    if (std::isinf(sum)) {
      x = kSuppressedLogit;
    } else if (sum != 0) {
      x = x + sum;
    }
  }
  return row;
}

std::vector<float> random_row(std::mt19937& random, int size) {
  std::normal_distribution<float> normal(0, 4);
  std::vector<float> row(size);
  for (float& x : row) x = normal(random);
  return row;
}

std::vector<int32_t> random_tokens(std::mt19937& random, size_t most, int vocabulary) {
  std::vector<int32_t> tokens(random() % (most + 1));
  const int kinds = 1 + static_cast<int>(random() % vocabulary);
  for (int32_t& token : tokens) token = static_cast<int32_t>(random() % kinds);
  return tokens;
}

SamplingParams random_params(std::mt19937& random, int vocabulary) {
  SamplingParams params;
  params.repetition_penalty = std::array{1.0f, 1.05f, 1.3f, 0.8f, 100.0f}[random() % 5];
  params.presence_penalty = std::array{0.0f, 0.4f, 2.0f, -1.3f}[random() % 4];
  params.frequency_penalty = std::array{0.0f, 0.1f, 1.7f, -0.6f}[random() % 4];
  for (const int32_t token : random_tokens(random, 6, vocabulary)) {
    params.logit_bias.push_back(
        {token, std::array{kSuppressed, -100.0f, -0.7f, 0.3f, 0.7f}[random() % 5]});
  }
  return params;
}

// Whatever part of the output was known, and what part are drafts.
TEST(RowContext, AdjustsRowsAsTheDefinitionsSay) {
  std::mt19937 random(test::fresh_seed());
  for (int trial = 0; trial < 2000; ++trial) {
    const int vocabulary = 1 + static_cast<int>(random() % 60);
    const SamplingParams params = random_params(random, vocabulary);
    const auto prompt = random_tokens(random, 40, vocabulary);
    const auto output = random_tokens(random, 30, vocabulary);
    const size_t known = random() % (output.size() + 1);
    RowContext context(params, prompt, vocabulary, 30);
    for (size_t i = 0; i < known; ++i) context.append(output[i]);
    ASSERT_EQ(context.length(), static_cast<int>(prompt.size() + known));
    const std::vector<float> row = random_row(random, vocabulary);
    std::vector<float> got = row;
    context.adjust(got, std::span(output).subspan(known));
    ASSERT_EQ(got, plainly(row, params, prompt, output)) << "trial " << trial;
  }
}

TEST(RowContext, HasTransformersRepetitionPenalty) {
  std::ifstream file(std::filesystem::path(ORTHRUS_TEST_DATA) / "penalties" / "repetition.json");
  const auto golden = nlohmann::json::parse(file);
  ASSERT_FALSE(golden.empty());
  for (const auto& c : golden) {
    auto row = c.at("logits").get<std::vector<float>>();
    const auto tokens = c.at("tokens").get<std::vector<int32_t>>();
    SamplingParams params;
    params.repetition_penalty = c.at("penalty").get<float>();
    // It makes no difference between prompt and output.
    const size_t prompt = tokens.size() / 2;
    RowContext context(params, std::span(tokens).first(prompt), static_cast<int>(row.size()), 0);
    context.adjust(row, std::span(tokens).subspan(prompt));
    EXPECT_EQ(row, c.at("penalised").get<std::vector<float>>());
  }
}

TEST(RowContext, IsWantedWhereItWouldChangeSomething) {
  EXPECT_FALSE(RowContext::wanted({.temperature = 1, .top_k = 3}));
  EXPECT_TRUE(RowContext::wanted({.repetition_penalty = 1.1f}));
  EXPECT_TRUE(RowContext::wanted({.presence_penalty = -1}));
  EXPECT_TRUE(RowContext::wanted({.frequency_penalty = 1}));
  EXPECT_TRUE(RowContext::wanted({.logit_bias = {{3, 1}}}));
}

TEST(RowContext, ASuppressedTokenIsNeverChosenAndABrokenLogitStaysBroken) {
  for (const float temperature : {0.0f, 1e-5f, 1.0f, 100.0f}) {
    const SamplingParams params{.temperature = temperature,
                                .seed = 5,
                                .logit_bias = {{0, kSuppressed}, {2, kSuppressed}, {0, 100}}};
    const RowContext context(params, {}, 3, 0);
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
      std::vector<float> row{5, -3, bad};
      context.adjust(row, {});
      EXPECT_EQ(select(row, 1, params).id, -1);
    }
    std::vector<float> row{5, -3, 70};
    context.adjust(row, {});
    for (int position = 0; position < 200; ++position) {
      const Choice choice = select(row, position, params, true);
      EXPECT_EQ(choice.id, 1);
      EXPECT_EQ(choice.probability, 1);
    }
  }
}

}  // namespace
}  // namespace orthrus
