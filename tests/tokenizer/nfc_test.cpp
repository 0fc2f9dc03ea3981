#include "tokenizer/nfc.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace orthrus {
namespace {

TEST(Nfc, Composes) {
  struct Case {
    std::string text;
    std::string expected;
  };
  const Case cases[] = {
      {"", ""},
      {"plain", "plain"},
      {"caf\u00e9", "caf\u00e9"},
      {"e\u0301", "\u00e9"},
      {"\u0301e", "\u0301e"},
      {"\u212b", "\u00c5"},               // the sign for angstrom is the letter
      {"\u0958", "\u0915\u093c"},         // excluded from composition
      {"a\u0316\u0301", "\u00e1\u0316"},  // composes past a mark of another class
      {"a\u0301\u0316", "\u00e1\u0316"},  // marks are put in order
      {"a\u0345\u0301\u0316", "\u00e1\u0316\u0345"},
      {"\u0344", "\u0308\u0301"},
      {"\u1e9b\u0323", "\u1e9b\u0323"},
      {"\u1100\u1161\u11a8", "\uac01"},  // Hangul
      {"\uac00\u11a8", "\uac01"},
      {"\uac00\u11a7", "\uac00\u11a7"},  // not a trailing consonant
      {"\uac00\u11a7\u1100\u1161\u11a7", "\uac00\u11a7\uac00\u11a7"},
      {"\uac01\u11a8", "\uac01\u11a8"},
      {"\U0002f800", "\u4e3d"},
      {"\U0001d15e", "\U0001d157\U0001d165"},
      {"\U0001f600\u200d", "\U0001f600\u200d"},
  };
  for (const Case& c : cases) EXPECT_EQ(nfc(c.text), c.expected) << c.text;
}

// Marks that tokenizers does not know among them.
TEST(Nfc, IsThatOfHuggingFaceTokenizers) {
  std::ifstream file(std::filesystem::path(ORTHRUS_TEST_DATA) / "nfc" / "expected.json");
  const nlohmann::json cases = nlohmann::json::parse(file);
  EXPECT_GT(cases.size(), 500u);
  for (const auto& item : cases) {
    const auto text = item[0].get<std::string>();
    EXPECT_EQ(nfc(text), item[1].get<std::string>()) << item[0].dump(-1, ' ', true);
  }
}

// Sorted by insertion, these marks would take 60 000 million steps.
TEST(Nfc, ManyMarksOutOfOrderAreNoTrouble) {
  constexpr int kCount = 250'000;
  std::string text;
  std::string expected;
  for (int i = 0; i < kCount; ++i) text += "\u0345\u0334";  // classes 240 and 1
  for (int i = 0; i < kCount; ++i) expected += "\u0334";
  for (int i = 0; i < kCount; ++i) expected += "\u0345";
  EXPECT_EQ(nfc(text), expected);
}

}  // namespace
}  // namespace orthrus
