// Tokenizers from what GGUF files hold.
#include "base/vocabulary.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "orthrus/tokenizer.h"
#include "support/expect_error.h"
#include "tokenizer/byte_level.h"

namespace orthrus {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::expect_error;
using Ids = std::vector<int32_t>;

constexpr auto kFile = ErrorKind::kFile;
constexpr auto kUnsupported = ErrorKind::kUnsupported;

// A vocabulary with the texts that it refers to.
struct Held {
  std::deque<std::string> texts;
  Vocabulary vocabulary;

  Held() {
    vocabulary.name = "m.gguf";
    vocabulary.pre = "qwen2";
  }
  std::string_view hold(std::string text) { return texts.emplace_back(std::move(text)); }
  void add(const std::string& text, int32_t type) {
    vocabulary.tokens.push_back(hold(text));
    vocabulary.types.push_back(type);
  }
  void merge(const std::string& text) { vocabulary.merges.push_back(hold(text)); }
  Tokenizer tokenizer() const { return Tokenizer::from_vocabulary(vocabulary); }
};

// As converters write it: added tokens by their kind, then a row of the table for each row of the
// embedding.
Held of_tokenizer_json(const json& file) {
  Held held;
  std::vector<std::pair<std::string, int32_t>> tokens(151936);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = {fmt::format("[PAD{}]", i), 5};
  for (const auto& [text, id] : file["model"]["vocab"].items()) tokens[id] = {text, 1};
  for (const json& added : file["added_tokens"]) {
    tokens[added["id"]] = {added["content"], added["special"] ? 3 : 4};
  }
  for (const auto& [text, type] : tokens) held.add(text, type);
  for (const json& merge : file["model"]["merges"]) {
    held.merge(merge.is_string() ? merge.get<std::string>()
                                 : merge[0].get<std::string>() + ' ' + merge[1].get<std::string>());
  }
  return held;
}

TEST(Vocabulary, GivesTheIdsOfTokenizerJson) {
  const fs::path folder = fs::path(ORTHRUS_TEST_DATA) / "qwen3-tokenizer";
  std::ifstream file(folder / "tokenizer.json");
  const Tokenizer tokenizer = of_tokenizer_json(json::parse(file)).tokenizer();
  const Tokenizer reference = Tokenizer::load(folder / "tokenizer.json");

  EXPECT_EQ(tokenizer.vocab_size(), reference.vocab_size());
  for (int32_t id = -1; id < 151936; ++id) {
    ASSERT_EQ(tokenizer.token_bytes(id), reference.token_bytes(id)) << id;
    ASSERT_EQ(tokenizer.is_special(id), reference.is_special(id)) << id;
  }
  std::ifstream expected_file(folder / "expected.json");
  const json expected = json::parse(expected_file);
  ASSERT_EQ(expected["encode"].size(), 36u);
  for (const json& c : expected["encode"]) {
    const Ids ids = tokenizer.encode(c["text"].get<std::string>());
    EXPECT_EQ(ids, c["ids"].get<Ids>()) << c["text"];
    EXPECT_EQ(tokenizer.decode(ids), c["decoded"].get<std::string>());
  }
  for (const json& chat : expected["chat"]) {
    const auto text = chat["rendered"].get<std::string>();
    EXPECT_EQ(tokenizer.encode(text), reference.encode(text));
  }
  for (const std::string text : {"[PAD151669]", "<|im_start|>[PAD151700]<think>"}) {
    EXPECT_EQ(tokenizer.encode(text), reference.encode(text));
  }
}

// Bytes 0 to 255 are their own ids; then he, ll, hell, <s> (control), <b> (user-defined), unused.
Held small() {
  Held held;
  for (int byte = 0; byte < 256; ++byte) {
    held.add(letter_of_byte(static_cast<unsigned char>(byte)), 1);
  }
  for (const char* text : {"he", "ll", "hell"}) held.add(text, 1);
  held.add("<s>", 3);
  held.add("<b>", 4);
  held.add("[PAD261]", 5);
  for (const char* text : {"h e", "l l", "he ll"}) held.merge(text);
  return held;
}

TEST(Vocabulary, TypesSayWhatTokensAreFor) {
  const Tokenizer tokenizer = small().tokenizer();
  EXPECT_EQ(tokenizer.encode("hell<s><b>he"), Ids({258, 259, 260, 256}));
  EXPECT_EQ(tokenizer.encode("[PAD261]").size(), 8u);
  EXPECT_EQ(tokenizer.encode("e\u0301"), Ids({0xc3, 0xa9}));  // normalized
  EXPECT_EQ(tokenizer.find_added("<s>"), 259);
  EXPECT_EQ(tokenizer.find_added("<b>"), 260);
  EXPECT_EQ(tokenizer.find_added("[PAD261]"), std::nullopt);
  EXPECT_TRUE(tokenizer.is_special(259));
  EXPECT_FALSE(tokenizer.is_special(260));
  EXPECT_EQ(tokenizer.decode(Ids({258, 259, 260, 261, 256})), "hell<s><b>he");
  EXPECT_EQ(tokenizer.decode(Ids({258, 259, 260, 261, 256}), true), "hell<b>he");
  EXPECT_EQ(tokenizer.vocab_size(), 261);
}

TEST(Vocabulary, OutlivesItsTexts) {
  auto held = std::make_unique<Held>(small());
  const Tokenizer tokenizer = held->tokenizer();
  held.reset();
  EXPECT_EQ(tokenizer.encode("hell<s>"), Ids({258, 259}));
}

TEST(Vocabulary, PromptsBeginAsItSays) {
  Held held = small();
  held.vocabulary.bos_token_id = 259;
  EXPECT_EQ(held.tokenizer().encode_prompt("he"), Ids({256}));
  held.vocabulary.add_bos = true;
  const Tokenizer tokenizer = held.tokenizer();
  EXPECT_EQ(tokenizer.encode("he"), Ids({256}));
  EXPECT_EQ(tokenizer.encode_prompt("he"), Ids({259, 256}));
  EXPECT_EQ(tokenizer.encode_prompt("<s>he"), Ids({259, 256}));
  EXPECT_EQ(tokenizer.encode_prompt("he<s>"), Ids({259, 256, 259}));
  EXPECT_EQ(tokenizer.encode_prompt(""), Ids({259}));
}

TEST(Vocabulary, WhatDoesNotFitTogetherIsRefused) {
  struct Case {
    ErrorKind kind;
    std::string message;  // after "m.gguf: "
    std::function<void(Held&)> change;
  };
  const std::string long_text(1025, 'x');
  const Case cases[] = {
      {kUnsupported, R"(tokenizer.ggml.pre is "llama-bpe\x0a"; only "qwen2" is supported.)",
       [](Held& held) { held.vocabulary.pre = "llama-bpe\n"; }},
      {kUnsupported, R"(tokenizer.ggml.pre is ""; only "qwen2" is supported.)",
       [](Held& held) { held.vocabulary.pre.clear(); }},
      {kFile,
       "tokenizer.ggml.token_type has 261 entries, but tokenizer.ggml.tokens has 262; they must be "
       "as many.",
       [](Held& held) { held.vocabulary.types.pop_back(); }},
      {kFile,
       "tokenizer.ggml.token_type has 263 entries, but tokenizer.ggml.tokens has 262; they must be "
       "as many.",
       [](Held& held) { held.vocabulary.types.push_back(1); }},
      {kUnsupported,
       "tokenizer.ggml.token_type[256] is 6; only 1 (normal), 3 (control), 4 (user-defined) and 5 "
       "(unused) are supported.",
       [](Held& held) { held.vocabulary.types[256] = 6; }},
      {kUnsupported,
       "tokenizer.ggml.token_type[0] is -2147483648; only 1 (normal), 3 (control), 4 "
       "(user-defined) and 5 (unused) are supported.",
       [](Held& held) { held.vocabulary.types[0] = INT32_MIN; }},
      {kFile,
       "tokenizer.ggml.tokens lacks \"\u0120\", the letter of byte 0x20; each of the 256 bytes "
       "must have a token.",
       [](Held& held) { held.vocabulary.types[' '] = 5; }},
      {kFile,
       "tokenizer.ggml.tokens lacks \"\u0100\", the letter of byte 0x00; each of the 256 bytes "
       "must have a token.",
       [](Held& held) {
         held.vocabulary.tokens.clear();
         held.vocabulary.types.clear();
       }},
      {kFile, R"(tokenizer.ggml.tokens has "he" twice.)", [](Held& held) { held.add("he", 1); }},
      {kFile, R"(tokenizer.ggml.tokens has "he" twice.)", [](Held& held) { held.add("he", 3); }},
      {kFile, R"(tokenizer.ggml.tokens has "<s>" twice.)", [](Held& held) { held.add("<s>", 4); }},
      {kFile,
       R"(tokenizer.ggml.tokens[262] is ""; a control or user-defined token must have 1 to 1024 )"
       "bytes of UTF-8.",
       [](Held& held) { held.add("", 3); }},
      {kFile,
       R"(tokenizer.ggml.tokens[262] is "\xc3"; a control or user-defined token must have 1 to )"
       "1024 bytes of UTF-8.",
       [](Held& held) { held.add("\xc3", 4); }},
      {kFile,
       fmt::format(R"(tokenizer.ggml.tokens[262] is "{}..."; a control or user-defined token must )"
                   "have 1 to 1024 bytes of UTF-8.",
                   std::string(80, 'x')),
       [&](Held& held) { held.add(long_text, 4); }},
      {kFile, R"(tokenizer.ggml.merges[3] is "hello"; it must be "left right".)",
       [](Held& held) { held.merge("hello"); }},
      {kFile, R"(tokenizer.ggml.merges[3] is "l l l"; it must be "left right".)",
       [](Held& held) { held.merge("l l l"); }},
      {kFile, R"(tokenizer.ggml.merges[3] needs "", which is not in tokenizer.ggml.tokens.)",
       [](Held& held) { held.merge(" "); }},
      {kFile, R"(tokenizer.ggml.merges[3] needs "zz", which is not in tokenizer.ggml.tokens.)",
       [](Held& held) { held.merge("zz h"); }},
      {kFile, R"(tokenizer.ggml.merges[3] needs "zz", which is not in tokenizer.ggml.tokens.)",
       [](Held& held) { held.merge("h zz"); }},
      {kFile, R"(tokenizer.ggml.merges[3] needs "eh", which is not in tokenizer.ggml.tokens.)",
       [](Held& held) { held.merge("e h"); }},
      {kFile, R"(tokenizer.ggml.merges[3] needs "<s>", which is not in tokenizer.ggml.tokens.)",
       [](Held& held) { held.merge("<s> h"); }},
      {kFile, "tokenizer.ggml.merges[3] merges the same pair as tokenizer.ggml.merges[0].",
       [](Held& held) { held.merge("h e"); }},
      {kFile,
       "tokenizer.ggml.bos_token_id is missing; where tokenizer.ggml.add_bos_token is true it must "
       "be a token's id, from 0 to 261.",
       [](Held& held) { held.vocabulary.add_bos = true; }},
      {kFile,
       "tokenizer.ggml.bos_token_id is 262; where tokenizer.ggml.add_bos_token is true it must be "
       "a token's id, from 0 to 261.",
       [](Held& held) {
         held.vocabulary.add_bos = true;
         held.vocabulary.bos_token_id = 262;
       }},
  };
  for (const Case& c : cases) {
    Held held = small();
    c.change(held);
    expect_error(c.kind, "m.gguf: " + c.message, [&] { held.tokenizer(); });
  }
}

// Without the limits these would take much more memory than the file has bytes.
TEST(Vocabulary, SizesAreLimited) {
  Held held = small();
  held.vocabulary.merges.assign((1 << 22) + 1, "h e");
  expect_error(kFile,
               "m.gguf: tokenizer.ggml.merges has 4194305 entries; at most 4194304 are possible.",
               [&] { held.tokenizer(); });
  held = small();
  held.vocabulary.tokens.resize((1 << 22) + 1, "x");
  held.vocabulary.types.resize((1 << 22) + 1, 1);
  expect_error(kFile,
               "m.gguf: tokenizer.ggml.tokens has 4194305 entries; at most 4194304 are possible.",
               [&] { held.tokenizer(); });
  held = small();
  const std::string long_text(1 << 20, 'x');
  for (int i = 0; i < 128; ++i) {
    held.vocabulary.tokens.push_back(long_text);
    held.vocabulary.types.push_back(5);
  }
  expect_error(kFile,
               "m.gguf: tokenizer.ggml.tokens and tokenizer.ggml.merges have 134218179 bytes; at "
               "most 134217728 are possible.",
               [&] { held.tokenizer(); });
}

}  // namespace
}  // namespace orthrus
