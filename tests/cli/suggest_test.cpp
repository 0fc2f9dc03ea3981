#include "cli/suggest.h"

#include <gtest/gtest.h>

#include <vector>

namespace orthrus::cli {
namespace {

const std::vector<std::string> kKnown = {"--max-tokens", "--temperature", "--top-k", "--top-p",
                                         "--prompt",     "--prompt-ids",  "-h"};

TEST(Suggest, BeginningsAndEnds) {
  EXPECT_EQ(nearest("--temp", kKnown), "--temperature");
  EXPECT_EQ(nearest("--TOP", kKnown), "--top-k");
  EXPECT_EQ(nearest("--tokens", kKnown), "--max-tokens");
  EXPECT_EQ(nearest("--n-prompt", kKnown), "--prompt");
}

TEST(Suggest, SlipsOfTheFinger) {
  EXPECT_EQ(nearest("--promt", kKnown), "--prompt");
  EXPECT_EQ(nearest("--prmopt", kKnown), "--prompt");
  EXPECT_EQ(nearest("--prompts", kKnown), "--prompt");
  EXPECT_EQ(nearest("--tpo-k", kKnown), "--top-k");
  EXPECT_EQ(nearest("--max-new-tokens", kKnown), "--max-tokens");
  EXPECT_EQ(nearest("--temperatur", kKnown), "--temperature");
}

TEST(Suggest, OtherWaysToWriteIt) {
  for (const char* const word : {"-max_tokens", "max-tokens", "--Max_Tokens", "---max-tokens"}) {
    EXPECT_EQ(nearest(word, kKnown), "--max-tokens") << word;
  }
  EXPECT_EQ(nearest("--h", kKnown), "-h");
}

TEST(Suggest, NothingForWhatIsFar) {
  for (const std::string& word : {std::string("--frobnicate"), std::string("--x"), std::string("-"),
                                  std::string(), std::string("--"), std::string(100000, 't')}) {
    EXPECT_EQ(nearest(word, kKnown), "") << word.substr(0, 20);
  }
  EXPECT_EQ(did_you_mean("--frobnicate", kKnown), ".");
  EXPECT_EQ(did_you_mean("--temp", kKnown), "; did you mean --temperature?");
}

}  // namespace
}  // namespace orthrus::cli
