#include "orthrus/tokenizer.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "tokenizer/small_tokenizer.h"

namespace orthrus {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;
using nlohmann::json;
using Ids = std::vector<int32_t>;
using test::added_token;
using test::expect_error;
using test::parse;
using test::small_tokenizer;

const Tokenizer& qwen3() {
  static const Tokenizer tokenizer =
      Tokenizer::load(fs::path(ORTHRUS_TEST_DATA) / "qwen3-tokenizer" / "tokenizer.json");
  return tokenizer;
}

const Tokenizer& tiny_code() {
  static const Tokenizer tokenizer =
      Tokenizer::load(fs::path(ORTHRUS_MODELS) / "tiny-code" / "tokenizer.json");
  return tokenizer;
}

// Against what the reference implementation gives; see the README of the test data.
TEST(Tokenizer, EncodesAndDecodesAsQwen3s) {
  std::ifstream file(fs::path(ORTHRUS_TEST_DATA) / "qwen3-tokenizer" / "expected.json");
  const json expected = json::parse(file);
  ASSERT_EQ(expected["encode"].size(), 36u);
  for (const json& c : expected["encode"]) {
    const Ids ids = qwen3().encode(c["text"].get<std::string>());
    EXPECT_EQ(ids, c["ids"].get<Ids>()) << c["text"];
    EXPECT_EQ(qwen3().decode(ids), c["decoded"].get<std::string>());
  }
}

TEST(Tokenizer, KnowsItsTokens) {
  EXPECT_EQ(qwen3().vocab_size(), 151669);
  EXPECT_EQ(tiny_code().vocab_size(), 8192);
  EXPECT_EQ(qwen3().find_added("<|im_end|>"), 151645);
  EXPECT_EQ(qwen3().find_added("<|im_en"), std::nullopt);
  EXPECT_EQ(qwen3().find_added("Hello"), std::nullopt);  // a token, but not an added one
  EXPECT_TRUE(qwen3().is_special(151645));
  EXPECT_FALSE(qwen3().is_special(9707));
  EXPECT_EQ(qwen3().find_added("<think>"), 151667);
  EXPECT_FALSE(qwen3().is_special(151667));  // added, but not special
  EXPECT_EQ(qwen3().token_bytes(1879), " world");
  EXPECT_EQ(qwen3().token_bytes(151645), "<|im_end|>");
}

TEST(Tokenizer, IdsOutsideOfTheVocabularyHaveNoText) {
  for (const int32_t id : {-1, 151669, 151935, INT32_MIN, INT32_MAX}) {
    EXPECT_EQ(qwen3().token_bytes(id), "");
    EXPECT_FALSE(qwen3().is_special(id));
    EXPECT_EQ(qwen3().decode(Ids({9707, id, 1879})), "Hello world");
  }
}

TEST(Tokenizer, SpecialTokensAreSkippedOnRequest) {
  const Ids ids = qwen3().encode("<|im_start|>a<think>b<|im_end|>");
  EXPECT_EQ(qwen3().decode(ids), "<|im_start|>a<think>b<|im_end|>");
  EXPECT_EQ(qwen3().decode(ids, true), "a<think>b");
}

TEST(Tokenizer, MergesWithinPieces) {
  const Tokenizer tokenizer = parse(small_tokenizer());
  EXPECT_EQ(tokenizer.encode(""), Ids());
  EXPECT_EQ(tokenizer.encode("hello"), Ids({259}));
  EXPECT_EQ(tokenizer.encode("hell hello"), Ids({258, ' ', 259}));
  EXPECT_EQ(tokenizer.encode("he w.ll"), Ids({256, 260, '.', 257}));
  EXPECT_EQ(tokenizer.encode("h3e"), Ids({'h', '3', 'e'}));  // three pieces
  EXPECT_EQ(tokenizer.encode("\0\xc3\xa9"s), Ids({0, 0xc3, 0xa9}));
}

TEST(Tokenizer, MergesMayBeWrittenAsStrings) {
  json file = small_tokenizer();
  file["model"]["merges"] = {"h e", "l l", "he ll", "hell o", "\u0120 w"};
  EXPECT_EQ(parse(file).encode("hello w"), Ids({259, 260}));
}

TEST(Tokenizer, NormalizesToNfc) {
  json file = small_tokenizer();
  EXPECT_EQ(parse(file).encode("e\u0301"), Ids({0xc3, 0xa9}));
  file["normalizer"] = {{"type", "Sequence"}, {"normalizers", json::array({file["normalizer"]})}};
  EXPECT_EQ(parse(file).encode("e\u0301"), Ids({0xc3, 0xa9}));
  file["normalizer"] = nullptr;
  EXPECT_EQ(parse(file).encode("e\u0301"), Ids({'e', 0xcc, 0x81}));
}

TEST(Tokenizer, StagesMayBeNested) {
  json file = small_tokenizer();
  file["pre_tokenizer"] = {{"type", "Sequence"},
                           {"pretokenizers", json::array({file["pre_tokenizer"]})}};
  EXPECT_EQ(parse(file).encode("hello w"), Ids({259, 260}));
}

TEST(Tokenizer, AddedTokensAreFoundBeforeOrAfterNormalizing) {
  json file = small_tokenizer();
  file["added_tokens"] = {added_token("\u014d", 300), added_token("o\u0304!", 301),
                          added_token("hello", 259)};
  file["added_tokens"][1]["normalized"] = true;
  const Tokenizer tokenizer = parse(file);
  EXPECT_EQ(tokenizer.encode("\u014d"), Ids({300}));
  EXPECT_EQ(tokenizer.encode("o\u0304"), Ids({0xc5, 0x8d}));  // not 300 as it stands
  EXPECT_EQ(tokenizer.encode("o\u0304!"), Ids({301}));
  EXPECT_EQ(tokenizer.encode("\u014d!"), Ids({300, '!'}));  // cut out first
  EXPECT_EQ(tokenizer.encode("shellohell"), Ids({'s', 259, 258}));
  EXPECT_EQ(tokenizer.decode(Ids({301})), "\u014d!");
  EXPECT_EQ(tokenizer.vocab_size(), 302);
  EXPECT_EQ(tokenizer.token_bytes(299), "");  // in a gap
}

TEST(Tokenizer, AddedTokensStandForTheirSpelling) {
  json file = small_tokenizer();
  file["added_tokens"] = {added_token("a b", 261), added_token("\u4e2d", 262)};
  const Tokenizer tokenizer = parse(file);
  EXPECT_EQ(tokenizer.encode("xa b\u4e2d"), Ids({'x', 261, 262}));
  EXPECT_EQ(tokenizer.decode(Ids({'x', 261, 262})), "xa b\u4e2d");
}

TEST(Tokenizer, IgnoreMergesTakesWholePieces) {
  json file = small_tokenizer();
  file["model"]["vocab"]["\u0120hello"] = 261;
  file["model"]["vocab"][" q"] = 262;  // no spelling of bytes
  EXPECT_EQ(parse(file).encode(" hello q"), Ids({' ', 259, ' ', 'q'}));
  file["model"]["ignore_merges"] = true;
  EXPECT_EQ(parse(file).encode(" hello q"), Ids({261, ' ', 'q'}));
}

TEST(Tokenizer, TheSamePairIsMergedByTheTokenItGives) {
  // "abc" is ab + c as well as a + bc; the queue holds one of them when the other becomes possible.
  json file = small_tokenizer();
  file["model"]["vocab"].update({{"ab", 261}, {"bc", 262}, {"abc", 263}});
  file["model"]["merges"] = {"a bc", "b c", "a b", "ab c"};
  EXPECT_EQ(parse(file).encode("abc"), Ids({263}));
  EXPECT_EQ(parse(file).encode("abcabab"), Ids({263, 261, 261}));
}

TEST(Tokenizer, TextMustBeUtf8) {
  struct Case {
    std::string text;
    std::string where;
  };
  const Case cases[] = {
      {"\xff", "byte 0 (0xff)"},
      {"abc\x80", "byte 3 (0x80)"},
      {"<|im_start|>\xe4\xb8", "byte 12 (0xe4)"},
      {"a\xed\xa0\x80", "byte 1 (0xed)"},
      {"a\xc0\x80", "byte 1 (0xc0)"},
      {"\xf4\x90\x80\x80", "byte 0 (0xf4)"},
  };
  for (const Case& c : cases) {
    expect_error(ErrorKind::kUsage,
                 fmt::format("The text is not valid UTF-8: no character starts at {}.", c.where),
                 [&] { qwen3().encode(c.text); });
  }
}

// Each would take hours if any step were quadratic.
TEST(Tokenizer, LongTextsOfOneKindAreNoTrouble) {
  constexpr size_t kBytes = 1'000'000;
  struct Case {
    std::string unit;
    bool normalized = true;  // as it stands
  };
  const Case cases[] = {{"a"},
                        {" "},
                        {"7"},
                        {"'"},
                        {"\n"},
                        {" \n"},
                        {"\t"},
                        {"aA"},
                        {"\x01"},
                        {"\u4e2d"},
                        {"\u180e"},
                        {"\U0001f600"},
                        {"\U0001f468\u200d"},
                        {"<"},
                        {"<|im_star"},
                        {"<|im_start|>"},
                        {"e\u0301", false},
                        {"\u0301\u0316", false},
                        {"\u1100\u1161", false}};
  for (const Case& c : cases) {
    std::string text;
    while (text.size() < kBytes) text += c.unit;
    for (const Tokenizer* tokenizer : {&qwen3(), &tiny_code()}) {
      const Ids ids = tokenizer->encode(text);
      const std::string decoded = tokenizer->decode(ids);
      EXPECT_EQ(decoded == text, c.normalized) << c.unit;
      EXPECT_TRUE(tokenizer->encode(decoded) == ids) << c.unit;
    }
  }
}

TEST(Tokenizer, IsSafeToUseFromManyThreads) {
  const std::string text =
      "def f(x):\n    return x  # na\u00efve e\u0301 \u4f60\u597d <|im_end|>\n";
  const Ids expected = qwen3().encode(text);
  std::vector<int> failures(4);
  std::vector<std::thread> threads;
  for (int& failed : failures) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) failed += qwen3().encode(text) != expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, std::vector<int>(4));
}

TEST(Tokenizer, CanBeMoved) {
  Tokenizer tokenizer = parse(small_tokenizer());
  Tokenizer other = std::move(tokenizer);
  tokenizer = std::move(other);
  EXPECT_EQ(tokenizer.encode("hello"), Ids({259}));
}

TEST(Tokenizer, LoadsFilesAndNamesThem) {
  const test::TemporaryDirectory directory;
  const fs::path path = directory / "tokenizer.json";
  expect_error(ErrorKind::kFile,
               fmt::format("{}: cannot be opened: No such file or directory.", path.string()),
               [&] { Tokenizer::load(path); });
  json file = small_tokenizer();
  std::ofstream(path) << file;
  EXPECT_EQ(Tokenizer::load(path).encode("hello"), Ids({259}));
  file["decoder"]["type"] = "Fuse";
  std::ofstream(path) << file;
  expect_error(
      ErrorKind::kUnsupported,
      fmt::format(R"({}: decoder.type is "Fuse"; only "ByteLevel" is supported.)", path.string()),
      [&] { Tokenizer::load(path); });
}

}  // namespace
}  // namespace orthrus
