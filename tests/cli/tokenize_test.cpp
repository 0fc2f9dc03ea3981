#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "cli/run_orthrus.h"

namespace orthrus::test {
namespace {

const std::string kText = "def f(x):\n    return 'é' + x  # \t…\n";

std::string tokenize(std::vector<std::string> more) {
  std::vector<std::string> all = {"tokenize", "-m", kTinyCode};
  all.insert(all.end(), more.begin(), more.end());
  const ProcessResult result = run_orthrus(all);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  return result.out;
}

TEST(Tokenize, RoundTrip) {
  std::string ids = tokenize({"-p", kText});
  EXPECT_TRUE(ids.ends_with('\n'));
  EXPECT_EQ(tokenize({"--decode", ids}), kText);
  ids.pop_back();
  EXPECT_EQ(tokenize({"--decode", ids}), kText);
}

TEST(Tokenize, SourcesAgree) {
  const std::string ids = tokenize({"-p", kText});
  EXPECT_EQ(run_orthrus({"tokenize", "-m", kTinyCode}, {.input = kText}).out, ids);
  EXPECT_EQ(
      run_orthrus({"tokenize", "--tokenizer", kTinyCode + "/tokenizer.json", "-p", kText}).out,
      ids);
  EXPECT_EQ(tokenize({"-p", kText, "--json"}),
            fmt::format("[{}]\n", ids.substr(0, ids.size() - 1)));
}

TEST(Tokenize, GenerateTakesItsIds) {
  std::string ids = tokenize({"-p", kText});
  const nlohmann::json json =
      run_for_json({"generate", "-m", kTinyCode, "--prompt-ids", ids, "-n", "1"});
  EXPECT_EQ(json["prompt_ids"], nlohmann::json::parse("[" + ids + "]"));
}

TEST(Tokenize, PiecesAndCount) {
  const nlohmann::json ids = nlohmann::json::parse(tokenize({"-p", "def é\n", "--json"}));
  EXPECT_EQ(tokenize({"-p", "def é\n", "--count"}), std::to_string(ids.size()) + "\n");
  const std::string pieces = tokenize({"-p", "def é\n", "--pieces"});
  EXPECT_EQ(std::count(pieces.begin(), pieces.end(), '\n'), static_cast<long>(ids.size()));
  EXPECT_NE(pieces.find(std::to_string(ids[0].get<int>()) + "  \"def\"\n"), std::string::npos);
  EXPECT_NE(pieces.find("\\xc3"), std::string::npos) << pieces;
  EXPECT_NE(pieces.find("\\n\"\n"), std::string::npos) << pieces;
}

TEST(Tokenize, EmptyTextHasNoIds) {
  EXPECT_EQ(tokenize({"-p", ""}), "\n");
  EXPECT_EQ(tokenize({"-p", "", "--count"}), "0\n");
  EXPECT_EQ(tokenize({"-p", "", "--json"}), "[]\n");
}

}  // namespace
}  // namespace orthrus::test
