#include "tokenizer/utf8.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace orthrus {
namespace {

using namespace std::string_literals;

std::string with_replacements(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '?') {
      result += kReplacementCharacter;
    } else {
      result += c;
    }
  }
  return result;
}

// What bytes.decode("utf-8", errors="replace") gives in Python, U+FFFD written as "?".
TEST(Utf8, BrokenSequencesAreReplacedAsPythonDoes) {
  struct Case {
    std::string bytes;
    std::string text;
  };
  const Case cases[] = {
      {"", ""},
      {"abc", "abc"},
      {"\xc3\xa9", "\xc3\xa9"},
      {"\x80", "?"},
      {"\x80\xbf", "??"},
      {"\xc3", "?"},
      {"\xc3x", "?x"},
      {"\xc0\xaf", "??"},  // "/" the long way
      {"\xc1\xbf", "??"},
      {"\xe4\xb8", "?"},
      {"\xe4\xb8x", "?x"},
      {"\xe4x\xb8", "?x?"},
      {"\xe0\x80\x80", "???"},  // the long way
      {"\xe0\x9f\xbf", "???"},
      {"\xed\xa0\x80", "???"},  // a surrogate
      {"\xed\x9f\xbf", "\xed\x9f\xbf"},
      {"\xf0\x9f\x98", "?"},
      {"\xf0\x9f\x98\xf0\x9f\x98\x80", "?\xf0\x9f\x98\x80"},
      {"\xf0\x8f\xbf\xbf", "????"},  // the long way
      {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
      {"\xf4\x90\x80\x80", "????"},  // beyond U+10FFFF
      {"\xf5\x80\x80\x80", "????"},
      {"\xf8\x88\x80\x80\x80", "?????"},
      {"\xff\xfe", "??"},
      {"a\xe2\x82\xe2\x82\xac"
       "b",
       "a?\xe2\x82\xac"
       "b"},
      {"\0x"s, "\0x"s},
  };
  for (const Case& c : cases) {
    std::string text;
    if (append_replacing_invalid(text, c.bytes) > 0) text += kReplacementCharacter;
    EXPECT_EQ(text, with_replacements(c.text)) << testing::PrintToString(c.bytes);
  }
}

TEST(Utf8, EveryCodePointComesBack) {
  for (char32_t code_point = 0; code_point <= 0x10ffff; ++code_point) {
    if (code_point >= 0xd800 && code_point < 0xe000) continue;
    std::string text;
    append_utf8(text, code_point);
    const Utf8Character character = first_character(text);
    ASSERT_TRUE(character.kind == Utf8Character::Kind::kWhole) << uint32_t{code_point};
    ASSERT_TRUE(character.code_point == code_point) << uint32_t{code_point};
    ASSERT_EQ(character.length, text.size());
    for (size_t length = 1; length < text.size(); ++length) {
      const Utf8Character cut = first_character(std::string_view(text).substr(0, length));
      ASSERT_TRUE(cut.kind == Utf8Character::Kind::kCut) << uint32_t{code_point};
      ASSERT_EQ(cut.length, length);
    }
  }
}

TEST(Utf8, TheFirstInvalidByteIsFound) {
  EXPECT_EQ(find_invalid_utf8("a\xc3\xa9\xe4\xb8\xad"), std::nullopt);
  EXPECT_EQ(find_invalid_utf8("a\xc3\xa9\xff"), 3);
  EXPECT_EQ(find_invalid_utf8("ab\xe4\xb8"), 2);
  EXPECT_EQ(find_invalid_utf8("\xed\xa0\x80"), 0);
}

}  // namespace
}  // namespace orthrus
