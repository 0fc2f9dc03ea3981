#include "tokenizer/regex_syntax.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tokenizer/split.h"

namespace orthrus {
namespace {

// Those of published tokenizers, and of each supported construct.
TEST(RegexSyntax, WhatIsSupportedSplitsAsInHuggingFaceTokenizers) {
  std::ifstream file(std::filesystem::path(ORTHRUS_TEST_DATA) / "split" / "expected.json");
  const nlohmann::json cases = nlohmann::json::parse(file);
  EXPECT_GT(cases.size(), 20u);
  for (const auto& item : cases) {
    const auto pattern = item["pattern"].get<std::string>();
    SCOPED_TRACE(pattern);
    const auto problem = find_regex_problem(pattern);
    EXPECT_FALSE(problem) << problem->construct;
    const SplitPattern split(pattern, "t.json");
    for (const auto& pieces : item["pieces"]) {
      const auto expected = pieces.get<std::vector<std::string>>();
      std::string text;
      for (const std::string& piece : expected) text += piece;
      const std::vector<std::string_view> got = split.split(text);
      EXPECT_EQ(std::vector<std::string>(got.begin(), got.end()), expected);
    }
  }
}

// Oniguruma reads each of these in another way than PCRE2, or only one of them reads it at all.
TEST(RegexSyntax, WhatMayDifferIsFound) {
  struct Case {
    std::string pattern;
    size_t position;
    std::string construct;
  };
  const Case cases[] = {
      {"x[a-z&&[aeiou]]", 5, "&&"},
      {"[ab&&c]", 3, "&&"},
      {"[a[bc]]", 2, "[b"},
      {"[[:alpha:]]", 1, "[:"},
      {"[]a]", 0, "[]"},
      {"[^]a]", 0, "[^]"},
      {"[\\s-z]", 1, "\\s-z"},
      {"[a-c-e]", 1, "a-c-"},
      {"[--a]", 1, "--a"},
      {"[a-\\d]", 1, "a-\\d"},
      {"\\p{N}{1,3}+", 5, "{1,3}+"},
      {"a{2}?", 1, "{2}?"},
      {"a{2}*", 1, "{2}*"},
      {"a{,3}", 1, "{,3}"},
      {"a{3,1}", 1, "{3,1}"},
      {"a{x}", 1, "{x"},
      {"a{", 1, "{"},
      {"{", 0, "{"},
      {"a**", 1, "**"},
      {"a+*", 1, "+*"},
      {"*a", 0, "*"},
      {"^*", 1, "*"},
      {"(?=a)+", 5, "+"},
      {"(*UCP)a", 0, "(*UC"},
      {"(?i)a", 0, "(?i)"},
      {"(?m:.)", 0, "(?m:"},
      {"(?s:.)", 0, "(?s:"},
      {"(?x: a)", 0, "(?x:"},
      {"(?#a)", 0, "(?#a"},
      {"(?~a)", 0, "(?~a"},
      {"(?<n>a)", 0, "(?<n"},
      {"(?R)", 0, "(?R)"},
      {"(?i:stop)", 4, "st"},
      {"(?i:ESS)", 5, "SS"},
      {"(?i:fi|a)", 4, "fi"},
      {"(?i:\u00e9)", 4, "\u00e9"},
      {"(?i:[\u00e9])", 5, "\u00e9"},
      {"(?i:a+)", 5, "+"},
      {"(?i:a(b))", 5, "("},
      {"(?i:\\p{Lu})", 4, "\\p{Lu}"},
      {"\\h", 0, "\\h"},
      {"\\H", 0, "\\H"},
      {"[\\h]", 1, "\\h"},
      {"\\R", 0, "\\R"},
      {"\\X", 0, "\\X"},
      {"\\K", 0, "\\K"},
      {"\\N", 0, "\\N"},
      {"\\O", 0, "\\O"},
      {"\\v", 0, "\\v"},
      {"\\w+", 0, "\\w"},
      {"\\W", 0, "\\W"},
      {"\\b", 0, "\\b"},
      {"\\B", 0, "\\B"},
      {"\\A", 0, "\\A"},
      {"\\Z", 0, "\\Z"},
      {"\\G", 0, "\\G"},
      {"(a)\\1", 3, "\\1"},
      {"\\k<n>", 0, "\\k"},
      {"\\g<n>", 0, "\\g"},
      {"\\Qa\\E", 0, "\\Q"},
      {"\\101", 0, "\\1"},
      {"\\cA", 0, "\\c"},
      {"\\M-a", 0, "\\M"},
      {"\\u0041", 0, "\\u"},
      {"\\xe9", 0, "\\x"},
      {"\\x{110000}", 0, "\\x{110000}"},
      {"\\x{}", 0, "\\x{}"},
      {"\\pL", 0, "\\p"},
      {"\\p{Han}", 0, "\\p{Han}"},
      {"\\p{^L}", 0, "\\p{^L}"},
      {"\\p{alpha}", 0, "\\p{alpha}"},
      {"a\\", 1, "\\"},
      {"\\\u00e9", 0, "\\\xc3"},
  };
  for (const Case& c : cases) {
    const auto problem = find_regex_problem(c.pattern);
    ASSERT_TRUE(problem) << c.pattern;
    EXPECT_EQ(problem->position, c.position) << c.pattern;
    EXPECT_EQ(problem->construct, c.construct) << c.pattern;
  }
}

}  // namespace
}  // namespace orthrus
