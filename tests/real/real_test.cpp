// Qwen2.5-Coder-0.5B-Instruct with its heads, against what a reference implementation of the
// dequantized model gave in float32 (tests/data/README.md).
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>

#include "orthrus/engine.h"

namespace orthrus {
namespace {

Engine load(std::optional<DType> weights) {
  EngineOptions options;
  options.weights = weights;
  return Engine::load(ORTHRUS_REAL_MODEL, options);
}

TEST(Real, Float32HasTheReferencesIdsAndAcceptance) {
  const Engine engine = load(DType::kF32);
  ASSERT_TRUE(engine.config().has_diffusion_view()) << "its heads do not lie beside it";
  std::ifstream file(ORTHRUS_TEST_DATA "/reference/qwen2.5-coder-0.5b.json");
  const auto cases = nlohmann::json::parse(file);
  ASSERT_EQ(cases.size(), 3u);
  double accepted = 0, cycles = 0, expected_accepted = 0, expected_cycles = 0;
  for (const auto& c : cases) {
    SCOPED_TRACE(c["prompt"].get<std::string>());
    const auto expected = c["ar"].get<std::vector<int32_t>>();
    Request request;
    request.prompt = c["prompt_ids"].get<std::vector<int32_t>>();
    request.options.max_tokens = static_cast<int>(expected.size());
    request.options.sampling = {};  // greedy

    request.options.mode = Mode::kAr;
    EXPECT_EQ(engine.generate(request).output_ids, expected);

    request.options.mode = Mode::kDual;
    request.options.block_size = 16;
    const Generation dual = engine.generate(request);
    EXPECT_EQ(dual.output_ids, expected);
    accepted += dual.stats.accepted;
    cycles += dual.stats.cycles;
    expected_accepted += c["accepted"].get<double>();
    expected_cycles += c["cycles"].get<double>();
  }
  // One draft that is nearly tied with another makes a cycle more of a question's ten or twenty.
  EXPECT_NEAR(accepted / cycles, expected_accepted / expected_cycles, 0.3);
}

// Of the beginning of a text that every model of code has read.
double perplexity(const Engine& engine) {
  std::ifstream file(ORTHRUS_SOURCES "/LICENSE");
  std::ostringstream text;
  text << file.rdbuf();
  std::vector<int32_t> tokens = engine.encode(text.str());
  tokens.resize(512);
  const std::vector<double> scores = engine.score(tokens, 257);
  return std::exp(-std::accumulate(scores.begin(), scores.end(), 0.0) /
                  static_cast<double>(scores.size()));
}

TEST(Real, KernelsOfBlockFormatsHardlyChangeThePerplexity) {
  const double as_in_file = perplexity(load(std::nullopt));
  const double in_float32 = perplexity(load(DType::kF32));
  EXPECT_GT(in_float32, 1.5);
  EXPECT_LT(in_float32, 4.5);
  EXPECT_NEAR(as_in_file / in_float32, 1, 0.03);
}

}  // namespace
}  // namespace orthrus
