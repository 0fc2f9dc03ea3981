#include "tokenizer/added_tokens.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace orthrus {
namespace {

// "text[3]text": the parts, with tokens as their ids in brackets.
std::string cut(const AddedTokens& tokens, std::string_view text) {
  std::string parts;
  tokens.cut(
      text, [&](std::string_view part) { parts += part; },
      [&](int32_t id) { parts += '[' + std::to_string(id) + ']'; });
  return parts;
}

TEST(AddedTokens, LeftmostThenLongest) {
  const AddedTokens tokens({{"ab", 1}, {"abcd", 2}, {"b", 3}, {"bcde", 4}, {"\xc3\xa9", 5}});
  EXPECT_EQ(cut(tokens, ""), "");
  EXPECT_EQ(cut(tokens, "xyz"), "xyz");
  EXPECT_EQ(cut(tokens, "ab"), "[1]");
  EXPECT_EQ(cut(tokens, "abc"), "[1]c");
  EXPECT_EQ(cut(tokens, "abcd"), "[2]");
  EXPECT_EQ(cut(tokens, "abcde"), "[2]e");  // not a[4], which starts later
  EXPECT_EQ(cut(tokens, "bcde"), "[4]");
  EXPECT_EQ(cut(tokens, "bcdx"), "[3]cdx");
  EXPECT_EQ(cut(tokens, "xabab\xc3\xa9y"), "x[1][1][5]y");
  EXPECT_EQ(cut(AddedTokens({}), "abc"), "abc");
}

TEST(AddedTokens, AreFoundByTheirContent) {
  const AddedTokens tokens({{"<b>", 2}, {"<a>", 1}});
  EXPECT_EQ(tokens.find("<a>"), 1);
  EXPECT_EQ(tokens.find("<b>"), 2);
  EXPECT_EQ(tokens.find("<"), std::nullopt);
  EXPECT_EQ(tokens.find(""), std::nullopt);
}

TEST(AddedTokens, AgreesWithTryingEveryToken) {
  std::mt19937 random(1);
  const auto word = [&](size_t longest) {
    std::string text(1 + random() % longest, 'a');
    for (char& c : text) c = static_cast<char>("ab\xff"[random() % 3]);
    return text;
  };
  for (int round = 0; round < 500; ++round) {
    std::vector<AddedTokens::Token> list;
    for (int id = 0; id < 8; ++id) {
      const std::string content = word(5);
      bool is_new = true;
      for (const auto& token : list) is_new = is_new && token.content != content;
      if (is_new) list.push_back({content, id});
    }
    const std::string text = word(60);
    std::string expected;
    for (size_t i = 0; i < text.size();) {
      const AddedTokens::Token* longest = nullptr;
      for (const auto& token : list) {
        if (text.compare(i, token.content.size(), token.content) != 0) continue;
        if (!longest || token.content.size() > longest->content.size()) longest = &token;
      }
      expected += longest ? '[' + std::to_string(longest->id) + ']' : text.substr(i, 1);
      i += longest ? longest->content.size() : 1;
    }
    ASSERT_EQ(cut(AddedTokens(list), text), expected) << text;
  }
}

// Trying each of 100 000 tokens at each of a million places would take hours.
TEST(AddedTokens, ManyTokensAndManyNearMissesAreNoTrouble) {
  std::vector<AddedTokens::Token> list;
  for (int32_t id = 0; id < 100'000; ++id) {
    list.push_back({"<|im_start" + std::to_string(id) + '>', id});
  }
  std::string text;
  for (int i = 0; i < 80'000; ++i) text += "<|im_start123";
  EXPECT_EQ(cut(AddedTokens(std::move(list)), text + "<|im_start99999>"), text + "[99999]");
}

}  // namespace
}  // namespace orthrus
