// Log-probabilities of a text's tokens, beside those that the golden logits give.
#include <gtest/gtest.h>

#include <cmath>

#include "orthrus/engine.h"
#include "support/expect_error_parts.h"
#include "support/golden.h"
#include "support/random_checkpoint.h"
#include "support/temporary_directory.h"

namespace orthrus {
namespace {

using test::expect_error_parts;

double log_probability(const float* logits, int size, int32_t token) {
  double sum = 0;
  for (int i = 0; i < size; ++i) sum += std::exp(double{logits[i]});
  return logits[token] - std::log(sum);
}

TEST(Score, IsWhatTheOfficialLogitsGive) {
  for (const char* name : {"tied", "untied"}) {
    const Golden golden = load_golden(name);
    const Engine engine = Engine::load(golden.directory);
    for (const GoldenCase& c : golden.cases) {
      SCOPED_TRACE(testing::Message() << name << ", prompt of " << c.prompt.size() << " tokens");
      std::vector<int32_t> tokens = c.prompt;
      tokens.insert(tokens.end(), c.proposed.begin(), c.proposed.end());
      const std::vector<double> scores = engine.score(tokens);
      ASSERT_EQ(scores.size(), tokens.size() - 1);
      const auto prompt = static_cast<int>(c.prompt.size());
      // The golden logits are of every row of the block, and of some last ones of the prompt.
      const auto compare = [&](const Logits& logits, int first_row) {
        for (int i = 0; i < logits.rows; ++i) {
          const auto row = static_cast<size_t>(first_row + i);
          if (row >= scores.size()) continue;
          EXPECT_NEAR(scores[row], log_probability(logits.row(i), logits.cols, tokens[row + 1]),
                      5e-4)
              << "token " << row + 1;
        }
      };
      compare(c.prefill, prompt - c.prefill.rows);
      compare(c.verify, prompt);
    }
  }
}

// As long as several passes, and longer than the context of what is left out.
TEST(Score, OfTheLastTokensIsTheEndOfAll) {
  const Engine engine = Engine::load(load_golden("tied").directory);
  std::vector<int32_t> tokens(200);
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = static_cast<int32_t>(i * 7919 % static_cast<size_t>(engine.config().vocab_size));
  }
  const std::vector<double> all = engine.score(tokens);
  ASSERT_EQ(all.size(), 199u);
  for (const int first : {1, 2, 64, 65, 66, 130, 199}) {
    const std::vector<double> last = engine.score(tokens, first);
    EXPECT_EQ(last, std::vector<double>(all.begin() + first - 1, all.end())) << first;
  }
}

// Finite weights can still overflow; a perplexity of NaN says nothing.
TEST(Score, RefusesOverflowingLogits) {
  const test::TemporaryDirectory dir;
  write_overflowing_checkpoint(dir.path());
  const Engine engine = Engine::load(dir.path());
  const std::vector<int32_t> text = {1, 2, 3};
  expect_error_parts(
      [&] { engine.score(text); }, ErrorKind::kSystem,
      {"Scoring failed after 0 tokens: ", std::string(describe(Status::kNonFiniteLogits))});
}

TEST(Score, RefusesWhatIsNotAText) {
  const Engine engine = Engine::load(load_golden("tied").directory);
  const std::vector<int32_t> one = {1}, unknown = {1, 2, engine.config().vocab_size}, good = {1, 2};
  expect_error_parts([&] { engine.score(one); }, ErrorKind::kUsage,
                     {"1 token to be scored", "valid is 2 to"});
  expect_error_parts([&] { engine.score(unknown); }, ErrorKind::kUsage, {"Token 2 has id"});
  for (const int first : {-1, 0, 2}) {
    expect_error_parts([&] { engine.score(good, first); }, ErrorKind::kUsage,
                       {"first is", "valid is 1 to 1 for 2 tokens"});
  }
  const std::vector<int32_t> long_text(
      static_cast<size_t>(engine.config().max_position_embeddings) + 1);
  expect_error_parts([&] { engine.score(long_text); }, ErrorKind::kUsage, {"tokens to be scored"});
}

}  // namespace
}  // namespace orthrus
