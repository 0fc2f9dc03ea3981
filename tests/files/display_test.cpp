#include "files/display.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace orthrus {
namespace {

using std::string_literals::operator""s;

TEST(Display, KeepsWhatPrintsAndEscapesTheRest) {
  EXPECT_EQ(printable("model.norm.weight"), "model.norm.weight");
  EXPECT_EQ(printable("Größe 模型 \U0001F600"), "Größe 模型 \U0001F600");
  EXPECT_EQ(printable("a\nb\x1b[31m\x7f"), "a\\x0ab\\x1b[31m\\x7f");
  EXPECT_EQ(printable("nul\0"s), "nul\\x00");
  EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");           // a control character beyond ASCII
  EXPECT_EQ(printable("\u202Eabc"), "\\xe2\\x80\\xaeabc");  // would turn the text around
  EXPECT_EQ(printable("\xff\xc3"), "\\xff\\xc3");           // not UTF-8
  EXPECT_EQ(printable(""), "");
}

TEST(Display, ShortensLongTexts) {
  EXPECT_EQ(printable(std::string(80, 'x')), std::string(80, 'x'));
  EXPECT_EQ(printable(std::string(1'000'000, 'x')), std::string(80, 'x') + "...");
  EXPECT_EQ(printable("ééé", 3), "éé...");
  EXPECT_EQ(shown(std::filesystem::path(std::string(1000, 'x'))), std::string(1000, 'x'));
}

TEST(Display, ListsNames) {
  EXPECT_EQ(list_in_quotes(std::vector<std::string>{}), "");
  EXPECT_EQ(list_in_quotes(std::vector<std::string>{"a", "b\n"}), "\"a\", \"b\\x0a\"");
  EXPECT_EQ(list_in_quotes(std::vector<std::string>(12, "a")),
            R"("a", "a", "a", "a", "a", "a", "a", "a" and 4 more)");
}

}  // namespace
}  // namespace orthrus
