#include "tokenizer/split.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/expect_error.h"

namespace orthrus {
namespace {

using Pieces = std::vector<std::string_view>;

// As it stands in Qwen3's tokenizer.json.
constexpr const char* kQwen3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";

Pieces split(std::string_view pattern, std::string_view text) {
  return SplitPattern(pattern, "t.json").split(text);
}

TEST(Split, Qwen3sPattern) {
  EXPECT_EQ(split(kQwen3, ""), Pieces());
  EXPECT_EQ(split(kQwen3, "Hello, world"), Pieces({"Hello", ",", " world"}));
  EXPECT_EQ(split(kQwen3, "I'M 12"), Pieces({"I", "'M", " ", "1", "2"}));
  EXPECT_EQ(split(kQwen3, "a   b"), Pieces({"a", "  ", " b"}));
  EXPECT_EQ(split(kQwen3, "a \n\n  b"), Pieces({"a", " \n\n", " ", " b"}));
  EXPECT_EQ(split(kQwen3, "(x)\r\n"), Pieces({"(x", ")\r\n"}));
  EXPECT_EQ(split(kQwen3, "\u00e9t\u00e9\u3000\u4e2d\u6587"),
            Pieces({"\u00e9t\u00e9", "\u3000\u4e2d\u6587"}));
}

TEST(Split, TextBetweenMatchesIsPiecesToo) {
  EXPECT_EQ(split("b+", "abba"), Pieces({"a", "bb", "a"}));
  EXPECT_EQ(split("x", "abc"), Pieces({"abc"}));
  EXPECT_EQ(split("\u00e9", "a\u00e9\u4e2d"), Pieces({"a", "\u00e9", "\u4e2d"}));
}

TEST(Split, EmptyMatchesCut) {
  EXPECT_EQ(split("(?=[A-Z])", "camelCaseText"), Pieces({"camel", "Case", "Text"}));
  EXPECT_EQ(split("",
                  "a\u00e9"
                  "b"),
            Pieces({"a", "\u00e9", "b"}));
  EXPECT_EQ(split("x*", "axxb"), Pieces({"a", "xx", "b"}));
}

TEST(Split, MatchesSeeWhatIsBeforeThem) {
  EXPECT_EQ(split("(?<=a)b", "abbab"), Pieces({"a", "b", "ba", "b"}));
}

TEST(Split, DollarIsTheEndOfALine) {
  EXPECT_EQ(split("\\s+$", "a\n\nb \n"), Pieces({"a", "\n", "\nb", " \n"}));
}

TEST(Split, MongolianVowelSeparatorIsNoWhiteSpace) {
  EXPECT_EQ(split("\\s+", "a\u180e \u180e"), Pieces({"a\u180e", " ", "\u180e"}));
  EXPECT_EQ(split(kQwen3, "\u1820\u180e\u1821"), Pieces({"\u1820", "\u180e\u1821"}));
}

TEST(Split, BadPatternsAreReported) {
  struct Case {
    std::string pattern;
    std::string message;
  };
  const Case cases[] = {
      {"a(b",
       R"(t.json: the split pattern of pre_tokenizer is "a(b", which is not a valid regular )"
       R"(expression: missing closing parenthesis (at byte 3).)"},
      {"[z-a]",
       R"(t.json: the split pattern of pre_tokenizer is "[z-a]", which is not a valid regular )"
       R"(expression: range out of order in character class (at byte 3).)"},
      {"x\\p{Nope}\n",
       R"(t.json: the split pattern of pre_tokenizer is "x\p{Nope}\x0a", which is not a valid )"
       R"(regular expression: unknown property after \P or \p (at byte 9).)"},
      {"a\\C",
       R"(t.json: the split pattern of pre_tokenizer is "a\C", which is not a valid regular )"
       R"(expression: using \C is disabled by the application (at byte 3).)"},
  };
  for (const Case& c : cases) {
    test::expect_error(ErrorKind::kFile, c.message, [&] { SplitPattern(c.pattern, "t.json"); });
  }
  EXPECT_THROW(SplitPattern(std::string(1 << 20, 'a'), "t.json"), Error);
  EXPECT_THROW(SplitPattern(std::string(1 << 15, '('), "t.json"), Error);
  EXPECT_THROW(SplitPattern("(((a{500}){500}){500})", "t.json"), Error);
}

constexpr const char* kInterpreted = "(*NO_JIT)";  // as where PCRE2 has no compiler

TEST(Split, InterpretedPatternsMatchTheSame) {
  const std::string text = "I'M here:  12\r\n\u00e9t\u00e9\u3000\u4e2d \U0001f600!! x";
  EXPECT_EQ(split(kInterpreted + std::string(kQwen3), text), split(kQwen3, text));
  const std::string spaces(1'000'000, ' ');
  EXPECT_EQ(split(kInterpreted + std::string(kQwen3), spaces), Pieces({spaces}));
}

TEST(Split, PatternsThatBacktrackWithoutEndAreStopped) {
  const std::string text = std::string(2000, 'a') + "!";
  for (const std::string pattern : {"(a+)+[xy]", "(a|aa)+[xy]", "(a*)*[xy]", "(?:a*a*)*[xy]",
                                    "a*a*a*a*a*[xy]", "(?:(?:a+)+)+[xy]|a", "(\\w+)*[xy]"}) {
    for (const std::string& variant : {pattern, kInterpreted + pattern}) {
      test::expect_error(
          ErrorKind::kFile,
          "t.json: the split pattern of pre_tokenizer cannot be matched at byte 0 of a text of "
          "2001 bytes: it needs too many steps.",
          [&] { split(variant, text); });
    }
  }
}

// Each match stays below a limit, but there are very many.
TEST(Split, PatternsThatBacktrackALittleTooMuchEverywhereAreStopped) {
  std::string text;
  for (int i = 0; i < 300; ++i) text.append(1000, 'a') += ' ';
  EXPECT_THROW(split("a*a*[xy]|a", text), Error);
  EXPECT_THROW(split(kInterpreted + std::string("a*a*[xy]|a"), text), Error);
}

// Groups that repeat take memory for each repetition, more than the compiled pattern has of its
// own.
TEST(Split, LongRepetitionsOfGroupsMatch) {
  const std::string text(300'000, 'a');
  const std::string pattern = "(?:\\p{L}\\p{M}?)+";
  EXPECT_EQ(split(pattern, text), Pieces({text}));
  EXPECT_EQ(split(kInterpreted + pattern, text), Pieces({text}));
}

}  // namespace
}  // namespace orthrus
