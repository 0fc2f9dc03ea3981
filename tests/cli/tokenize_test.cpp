#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "cli/run_orthrus.h"
#include "orthrus/tokenizer.h"
#include "support/temporary_directory.h"

namespace orthrus::test {
namespace {

using Arguments = std::vector<std::string>;

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

TEST(Tokenize, ManyIds) {
  std::string text;
  for (int i = 0; i < 40000; ++i) text += fmt::format("x{} ", i % 10);
  const std::string ids = run_orthrus({"tokenize", "-m", kTinyCode}, {.input = text}).out;
  EXPECT_GT(std::count(ids.begin(), ids.end(), ','), 40000);
  EXPECT_GT(ids.size(), size_t{131072});  // more than one argument of a process can have
  const Arguments decode = {"tokenize", "-m", kTinyCode, "--decode"};
  const auto decoded = [&](const std::string& value, const std::string& input) {
    Arguments arguments = decode;
    arguments.push_back(value);
    return run_orthrus(arguments, {.input = input});
  };
  EXPECT_EQ(decoded("-", ids).out, text);
  const TemporaryDirectory directory;
  const std::string file = directory / "ids";
  std::ofstream(file) << ids;
  EXPECT_EQ(decoded("@" + file, "").out, text);

  std::ofstream(file) << "[1, 2,\n 3x]\n";
  EXPECT_EQ(
      decoded("@" + file, "").err,
      fmt::format("orthrus: --decode: {}: item 3 is \"3x\"; valid is a token id, as in 1,2,3: "
                  "a whole number from 0 to 2147483647.\n",
                  file));
  EXPECT_EQ(decoded("-", "1,,2").err.find("orthrus: --decode: standard input: item 2 is \"\"; "),
            0u);
  EXPECT_EQ(decoded("@", "").err, "orthrus: --decode is \"@\"; a file's name goes behind it.\n");
  EXPECT_EQ(decoded("@/does/not/exist", "").err,
            "orthrus: Cannot read /does/not/exist: No such file or directory.\n");
  EXPECT_EQ(decoded("-", "").out, "");
  EXPECT_EQ(decoded("", "").out, "");
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

// A model's embedding may have more rows than its tokenizer has tokens.
TEST(Tokenize, IdsThatOnlyTheModelHasHaveNoText) {
  const TemporaryDirectory directory;
  std::filesystem::copy(kTinyCode + "/tokenizer.json", directory / "tokenizer.json");
  nlohmann::json config = nlohmann::json::parse(std::ifstream(kTinyCode + "/config.json"));
  const int tokens = Tokenizer::load(kTinyCode + "/tokenizer.json").vocab_size();
  config["vocab_size"] = tokens + 40;
  std::ofstream(directory / "config.json") << config;
  const std::string model = directory.path().string();

  const std::string ids = tokenize({"-p", "ab", "--json"});
  const std::string list = ids.substr(1, ids.find(']') - 1);
  const std::string more = fmt::format("{},{}", list, tokens + 39);
  EXPECT_EQ(run_orthrus({"tokenize", "-m", model, "--decode", more}).out, "ab");
  EXPECT_EQ(run_orthrus({"tokenize", "-m", model, "--decode", std::to_string(tokens + 40)}).err,
            fmt::format("orthrus: --decode: item 1 is {}; this model's ids are 0 to {}.\n",
                        tokens + 40, tokens + 39));
  EXPECT_EQ(run_orthrus({"tokenize", "--tokenizer", kTinyCode + "/tokenizer.json", "--decode",
                         std::to_string(tokens)})
                .err,
            fmt::format("orthrus: --decode: item 1 is {}; this tokenizer's ids are 0 to {}.\n",
                        tokens, tokens - 1));
}

TEST(Tokenize, EmptyTextHasNoIds) {
  EXPECT_EQ(tokenize({"-p", ""}), "\n");
  EXPECT_EQ(tokenize({"-p", "", "--count"}), "0\n");
  EXPECT_EQ(tokenize({"-p", "", "--json"}), "[]\n");
}

}  // namespace
}  // namespace orthrus::test
