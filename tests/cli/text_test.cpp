#include "cli/text.h"

#include <gtest/gtest.h>

#include "cli/stream_printer.h"
#include "support/expect_error_parts.h"

namespace orthrus::cli {
namespace {

TEST(Text, ControlsAreEscapedButNotNewlineAndTab) {
  EXPECT_EQ(without_controls("a\x1b[2J\tb\n\r\x07\x7f"), "a\\x1b[2J\tb\n\\x0d\\x07\\x7f");
  EXPECT_EQ(without_controls("a\r\nb\r"), "a\r\nb\\x0d");
  EXPECT_EQ(without_controls(std::string_view("\0", 1)), "\\x00");
}

TEST(Text, Latin1ControlsAreEscaped) {
  EXPECT_EQ(without_controls("\xc2\x9b\x32J"), "\\x9b2J");
  EXPECT_EQ(without_controls("\xc2\xa0\xc3\xa9"), "\xc2\xa0\xc3\xa9");
}

TEST(Text, WhatIsNoUtf8IsEscaped) {
  EXPECT_EQ(without_controls("\xc2"), "\\xc2");
  EXPECT_EQ(without_controls("a\xff\x80z"), "a\\xff\\x80z");
  EXPECT_EQ(without_controls("\xe2\x82\xac\xf0\x9f\x98\x80"), "\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_EQ(without_controls("\xc0\x80"), "\\xc0\\x80");           // overlong
  EXPECT_EQ(without_controls("\xe0\x9f\xbf"), "\\xe0\\x9f\\xbf");  // overlong
  EXPECT_EQ(without_controls("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(without_controls("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
}

TEST(Text, QuotesKeepCharactersWhole) {
  EXPECT_EQ(in_quotes("\xc3\xa9 \"\n\x1b\xff\xc2\x9b"), "\"\xc3\xa9 \\\"\\n\\x1b\\xff\\xc2\\x9b\"");
  EXPECT_EQ(in_quotes(std::string(59, 'x') + "\xc3\xa9y"),
            "\"" + std::string(59, 'x') + "\xc3\xa9\"...");
  EXPECT_EQ(as_typed("--temp"), "--temp");
  EXPECT_EQ(as_typed("--a b"), "\"--a b\"");
  EXPECT_EQ(as_typed(""), "\"\"");
}

TEST(Text, EscapedIsPrintableAscii) {
  EXPECT_EQ(escaped("a\n\t\r\"\\\xc3\xa9\x01"), "a\\n\\t\\r\\\"\\\\\\xc3\\xa9\\x01");
}

TEST(Text, LongValuesAreCut) {
  EXPECT_EQ(in_quotes("abc"), "\"abc\"");
  EXPECT_EQ(in_quotes(std::string(1000, 'x')), "\"" + std::string(60, 'x') + "\"...");
}

TEST(Text, Numbers) {
  EXPECT_EQ(with_commas(0), "0");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(1000), "1,000");
  EXPECT_EQ(with_commas(-123456), "-123,456");
  EXPECT_EQ(with_commas(24291712), "24,291,712");
  EXPECT_EQ(counted(0, "prompt"), "0 prompts");
  EXPECT_EQ(counted(1, "prompt"), "1 prompt");
  EXPECT_EQ(bytes_in_words(1023), "1023 B");
  EXPECT_EQ(bytes_in_words(1536), "1.5 KiB");
  EXPECT_EQ(bytes_in_words(int64_t{3} << 40), "3.0 TiB");
}

std::string printed(Style style, const Tokenizer* tokenizer, const std::vector<Step>& steps) {
  testing::internal::CaptureStdout();
  Output output;
  StreamPrinter printer(output, style, tokenizer);
  for (const Step& step : steps) EXPECT_TRUE(printer.put(step));
  printer.end_line();
  return testing::internal::GetCapturedStdout();
}

class StreamPrinterTest : public testing::Test {
 protected:
  Step step(std::string_view text, int drafted = 0, int accepted = 0) {
    ids_.push_back(tokenizer_.encode(text));
    return {ids_.back(), text, drafted, accepted};
  }

  const Tokenizer tokenizer_ = Tokenizer::load(ORTHRUS_MODELS "/tiny-code/tokenizer.json");
  std::vector<std::vector<int32_t>> ids_;
};

TEST_F(StreamPrinterTest, PipedTextIsRaw) {
  EXPECT_EQ(printed({}, &tokenizer_, {step("a\x1b[2J"), step("b\n")}), "a\x1b[2Jb\n");
}

TEST_F(StreamPrinterTest, TerminalTextHasNoControls) {
  EXPECT_EQ(printed({.terminal = true}, &tokenizer_, {step("a\x1b[2J"), step("b")}),
            "a\\x1b[2Jb\n");
}

// Its halves may come from two passes.
TEST_F(StreamPrinterTest, ACarriageReturnIsHalfALineEndOrAControl) {
  const Style terminal{.terminal = true};
  ids_.reserve(4);
  EXPECT_EQ(printed(terminal, &tokenizer_, {step("a\r"), step("\nb")}), "a\r\nb\n");
  ids_.clear();
  EXPECT_EQ(printed(terminal, &tokenizer_, {step("a\r"), step("\r"), step("b"), step("c\r")}),
            "a\\x0d\\x0dbc\\x0d\n");
  ids_.clear();
  EXPECT_EQ(printed({}, &tokenizer_, {step("a\r"), step("\nb\r")}), "a\r\nb\r\n");
}

TEST_F(StreamPrinterTest, TheBonusTokenIsBold) {
  ids_.reserve(2);
  const Step first = step("def");
  const Step second = step(" f(", 3, static_cast<int>(tokenizer_.encode(" f(").size()) - 1);
  ASSERT_GE(second.tokens.size(), 2u);
  const std::string bonus(tokenizer_.token_bytes(second.tokens.back()));
  const std::string drafts(second.text.substr(0, second.text.size() - bonus.size()));
  EXPECT_EQ(printed({.terminal = true, .color = true}, &tokenizer_, {first, second}),
            "\x1b[36mdef\x1b[0m\x1b[33m" + drafts + "\x1b[0m\x1b[33m\x1b[1m" + bonus + "\x1b[0m\n");
}

TEST_F(StreamPrinterTest, IdsWithoutTokenizer) {
  const std::vector<int32_t> first{5}, second{6, 7};
  EXPECT_EQ(printed({}, nullptr, {Step{first, "", 0, 0}, Step{second, "", 2, 1}}), "5,6,7\n");
}

}  // namespace
}  // namespace orthrus::cli
