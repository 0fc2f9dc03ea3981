#include <gtest/gtest.h>

#include <string>

#include "cli/bench_page/html.h"

namespace orthrus::test {
namespace {

using namespace cli::bench_page;

TEST(BenchPage, TextIsTextWhateverItIs) {
  EXPECT_EQ(html_text("<b a=\"1\">&amp;'"), "&lt;b a=&quot;1&quot;&gt;&amp;amp;'");
  EXPECT_EQ(html_text("a\n\tb\xc3\xa4\xf0\x9f\x98\x80"), "a\n\tb\xc3\xa4\xf0\x9f\x98\x80");
  // Controls are shown by their pictures, what is no character by U+FFFD.
  EXPECT_EQ(html_text(std::string("\0\r\x1b\x7f", 4)),
            "\xe2\x90\x80\xe2\x90\x8d\xe2\x90\x9b\xe2\x90\xa1");
  const std::string replacement = "\xef\xbf\xbd";
  EXPECT_EQ(html_text("\xff\xc3"), replacement + replacement);
  EXPECT_EQ(html_text("\xc2\x9f\xef\xbf\xbe\xef\xbf\xbf"), replacement + replacement + replacement);
  // U+202E would turn what follows around.
  EXPECT_EQ(html_text("a\xe2\x80\xae"), "a[U+202E]");
}

TEST(BenchPage, TextIsCutBetweenCharacters) {
  EXPECT_EQ(html_text_cut("abc", 3), "abc");
  EXPECT_EQ(html_text_cut("abcd", 3), "abc...");
  EXPECT_EQ(html_text_cut("ab\xc3\xa4z", 3), "ab...");
  EXPECT_EQ(html_text_cut("\x80\x80\x80\x80", 3), "...");
}

}  // namespace
}  // namespace orthrus::test
