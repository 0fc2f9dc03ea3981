#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "cli/run_orthrus.h"
#include "orthrus/engine.h"
#include "support/temporary_directory.h"

namespace orthrus::test {
namespace {

class PerplexityTest : public testing::Test {
 protected:
  PerplexityTest() {
    for (int i = 0; i < 20; ++i) {
      text_ +=
          "def f" + std::to_string(i) + "(x):\n    return x + " + std::to_string(i * i) + "\n\n";
    }
    std::ofstream(file_) << text_;
  }

  const TemporaryDirectory directory_;
  const std::string file_ = (directory_.path() / "text.py").string();
  std::string text_;
};

TEST_F(PerplexityTest, IsOfTheSecondHalvesOfChunks) {
  const nlohmann::json json =
      run_for_json({"perplexity", "-m", kTinyCode, "-f", file_, "--context", "33"});
  const Engine engine = Engine::load(kTinyCode);
  const std::vector<int32_t> tokens = engine.encode(text_);
  const size_t chunks = tokens.size() / 33;
  ASSERT_GT(chunks, 5u);
  double sum = 0;
  for (size_t chunk = 0; chunk < chunks; ++chunk) {
    const std::vector<double> scores = engine.score(std::span(tokens).subspan(chunk * 33, 33));
    for (size_t i = 16; i < 32; ++i) sum += scores[i];  // of tokens 17 to 32
  }
  const auto scored = static_cast<double>(chunks * 16);
  EXPECT_EQ(json["chunks"], chunks);
  EXPECT_EQ(json["tokens"], tokens.size());
  EXPECT_EQ(json["scored"], scored);
  EXPECT_NEAR(json["perplexity"].get<double>(), std::exp(-sum / scored), 1e-9);
  EXPECT_GT(json["error"], 0);
  EXPECT_LT(json["error"], json["perplexity"]);
  EXPECT_GT(json["tokens_per_second"], 0);
}

TEST_F(PerplexityTest, InWords) {
  const ProcessResult result =
      run_orthrus({"perplexity", "-m", kTinyCode, "-f", file_, "--context", "64", "--chunks", "2"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(result.out.starts_with("perplexity  ")) << result.out;
  EXPECT_NE(result.out.find("2 chunks of 64, 62 tokens scored"), std::string::npos) << result.out;
}

TEST_F(PerplexityTest, Refuses) {
  const std::string weights = kTinyCode + "/model.safetensors";
  const struct {
    std::vector<std::string> arguments;
    int exit_code;
    std::string said;
  } cases[] = {
      {{"-f", file_, "--context", "2048"}, 2, "a chunk needs 2048"},
      {{"-f", file_, "--context", "2"}, 2, "--context is \"2\"; valid is a whole number from 3 to"},
      {{"-f", file_, "--context", "10000000"}, 2, "--context is 10000000; valid is 3 to"},
      {{"-f", file_ + ".none"}, 1, "Cannot read"},
      {{"-f", "-"}, 2, "Standard input has 0 tokens; a chunk needs 512"},
      {{"-f", weights}, 2, weights + " is not valid UTF-8: no character starts at byte"},
      {{}, 2, "--file is missing: perplexity needs -f FILE."},
  };
  for (const auto& c : cases) {
    std::vector<std::string> arguments = {"perplexity", "-m", kTinyCode};
    arguments.insert(arguments.end(), c.arguments.begin(), c.arguments.end());
    const ProcessResult result = run_orthrus(arguments);
    EXPECT_EQ(result.exit_code, c.exit_code) << result.err;
    EXPECT_NE(result.err.find(c.said), std::string::npos) << result.err;
  }
}

}  // namespace
}  // namespace orthrus::test
