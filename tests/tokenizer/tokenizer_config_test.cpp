// Added tokens of tokenizer_config.json. What is expected is what transformers 5.24 gives, where it
// loads the files.
#include "tokenizer/tokenizer_config.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "orthrus/error.h"
#include "orthrus/tokenizer.h"
#include "support/temporary_directory.h"
#include "tokenizer/small_tokenizer.h"

namespace orthrus {
namespace {

using nlohmann::json;
using Ids = std::vector<int32_t>;

// Of small_tokenizer() with "<a>", special, and "<b>", which is not.
Tokenizer load_text(const std::string& config) {
  json file = test::small_tokenizer();
  file["added_tokens"] = {test::added_token("<a>", 261), test::added_token("<b>", 262)};
  file["added_tokens"][0]["special"] = true;
  const test::TemporaryDirectory directory;
  std::ofstream(directory / "tokenizer.json") << file;
  std::ofstream(directory / "tokenizer_config.json") << config;
  return load_tokenizer(directory.path());
}

Tokenizer load(const json& config) {
  return load_text(config.dump());
}

json with_token(const std::string& id, const std::string& content, bool special = false) {
  json token = test::added_token(content, 0);
  token.erase("id");
  token["special"] = special;
  return {{"added_tokens_decoder", {{id, token}}}};
}

std::string without_special(const Tokenizer& tokenizer, const std::string& text) {
  return tokenizer.decode(tokenizer.encode(text), /*skip_special=*/true);
}

TEST(TokenizerConfig, MaySayNothingOfTokens) {
  const Tokenizer tokenizer = load(json{{"chat_template", "x"}, {"eos_token", nullptr}});
  EXPECT_EQ(tokenizer.encode("x<a><b><c>"), (Ids{'x', 261, 262, '<', 'c', '>'}));
  EXPECT_EQ(without_special(tokenizer, "x<a><b>"), "x<b>");
}

TEST(TokenizerConfig, TokensThatStandOnlyThereAreTokens) {
  json config = with_token("264", "<d>", true);
  config["added_tokens_decoder"]["263"] = {{"content", "<c>"}};
  const Tokenizer tokenizer = load(config);
  EXPECT_EQ(tokenizer.encode("x<c><d><b>"), (Ids{'x', 263, 264, 262}));
  EXPECT_EQ(without_special(tokenizer, "x<c><d><b>"), "x<c><b>");
  EXPECT_EQ(tokenizer.vocab_size(), 265);
  EXPECT_EQ(tokenizer.find_added("<d>"), 264);
}

TEST(TokenizerConfig, ItsFlagsCount) {
  EXPECT_EQ(without_special(load(with_token("262", "<b>", true)), "x<a><b>"), "x");
  EXPECT_EQ(without_special(load(with_token("261", "<a>", false)), "x<a><b>"), "x<a><b>");
  const Tokenizer vocabulary = load(with_token("259", "hello", true));
  EXPECT_EQ(vocabulary.encode("xhellox"), (Ids{'x', 259, 'x'}));
  EXPECT_EQ(without_special(vocabulary, "xhellox"), "xx");
}

TEST(TokenizerConfig, NamedTokensAreSpecial) {
  EXPECT_EQ(without_special(load(json{{"eos_token", "<b>"}}), "x<b>"), "x");
  EXPECT_EQ(without_special(load(json{{"pad_token", {{"content", "<b>"}}}}), "x<b>"), "x");
  EXPECT_EQ(without_special(load(json{{"eos_token", "hello"}}), "xhello<b>"), "x<b>");
  json both = with_token("262", "<b>", false);
  both["eos_token"] = "<b>";
  EXPECT_EQ(without_special(load(both), "x<b>"), "x");
  // One that is no token stays text.
  EXPECT_EQ(load(json{{"pad_token", "[P]"}}).encode("[P]"), (Ids{'[', 'P', ']'}));
}

// As Python's json module reads them.
TEST(TokenizerConfig, FieldsThatNobodyReadsDoNotMatter) {
  const Tokenizer tokenizer =
      load_text(R"({"model_max_length": Infinity, "x": NaN, "y": 1, "y": 1, "eos_token": "<b>"})");
  EXPECT_EQ(without_special(tokenizer, "x<b>"), "x");
}

TEST(TokenizerConfig, BadOnesAreReported) {
  struct Case {
    ErrorKind kind;
    std::string config;
    std::string message;  // after the file's name
  };
  constexpr auto kFile = ErrorKind::kFile;
  const Case cases[] = {
      {kFile, R"({"added_tokens_decoder": []})",
       "added_tokens_decoder is []; it must be an object."},
      {kFile, R"({"added_tokens_decoder": {"263": "<c>"}})",
       R"(added_tokens_decoder.263 is "<c>"; it must be an object.)"},
      {kFile, R"({"added_tokens_decoder": {"263": {"content": 5}}})",
       "added_tokens_decoder.263.content is 5; it must be a string."},
      {kFile, R"({"added_tokens_decoder": {"263": {"content": ""}}})",
       R"(added_tokens_decoder.263.content is ""; it must have 1 to 1024 bytes.)"},
      {kFile, R"({"added_tokens_decoder": {"263": {"content": "<c>", "special": "yes"}}})",
       R"(added_tokens_decoder.263.special is "yes"; it must be true or false.)"},
      {ErrorKind::kUnsupported,
       R"({"added_tokens_decoder": {"263": {"content": "<c>", "lstrip": true}}})",
       "added_tokens_decoder.263.lstrip is true; only false is supported."},
      {kFile, R"({"added_tokens_decoder": {"x": {"content": "<c>"}}})",
       R"(added_tokens_decoder.x is {"content":"<c>"}; its key must be a token id from 0 to 4194303.)"},
      {kFile, R"({"added_tokens_decoder": {"-1": {"content": "<c>"}}})",
       R"(added_tokens_decoder.-1 is {"content":"<c>"}; its key must be a token id from 0 to 4194303.)"},
      {kFile, R"({"added_tokens_decoder": {"0263": {"content": "<c>"}}})",
       R"(added_tokens_decoder.0263 is {"content":"<c>"}; its key must be a token id from 0 to 4194303.)"},
      {kFile, R"({"eos_token": 5})", "eos_token is 5; it must be a string."},
  };
  for (const Case& c : cases) {
    try {
      load_text(c.config);
      ADD_FAILURE() << c.config;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), c.kind) << c.config;
      EXPECT_TRUE(std::string(error.what()).ends_with("tokenizer_config.json: " + c.message))
          << error.what();
    }
  }
}

// transformers takes the first two for what they are not, without a word: the token gets 263.
TEST(TokenizerConfig, FilesThatDifferAreReported) {
  const std::pair<json, std::string> cases[] = {
      {with_token("270", "<c>"), R"(added_tokens_decoder.270 is "<c>", but )"},
      {with_token("262", "<c>"), R"(added_tokens_decoder.262 is "<c>", but )"},
      {with_token("263", "<b>"), R"(added_tokens_decoder.263 is "<b>", but in )"},
      {with_token("263", "hello"), R"(added_tokens_decoder.263 is "hello", but in )"},
  };
  for (const auto& [config, message] : cases) {
    try {
      load(config);
      ADD_FAILURE() << config;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kFile);
      EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace orthrus
