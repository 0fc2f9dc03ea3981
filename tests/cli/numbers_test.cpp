#include "cli/numbers.h"

#include <gtest/gtest.h>

#include <limits>

#include "support/expect_error_parts.h"

namespace orthrus::cli {
namespace {

using Items = std::vector<std::string_view>;

TEST(Numbers, Whole) {
  for (const char* const text : {"1", "+1", " 1", "1 ", "01", "\t1\n"}) {
    EXPECT_EQ(number_in<int>(text), 1) << text;
  }
  EXPECT_EQ(number_in<int>("-0"), 0);
  EXPECT_EQ(number_in<int>("-7"), -7);
  EXPECT_EQ(number_in<uint64_t>("18446744073709551615"), std::numeric_limits<uint64_t>::max());
  for (const char* const text :
       {"", " ", "+", "-", "+-1", "++1", "1.", "1e2", "0x1", "1 2", "1x", "x", "2147483648", "١"}) {
    EXPECT_EQ(number_in<int>(text), std::nullopt) << text;
  }
  EXPECT_EQ(number_in<uint64_t>("-1"), std::nullopt);
}

TEST(Numbers, Real) {
  for (const char* const text :
       {"0.5", ".5", "+.5", "5e-1", "5E-1", " 0.5 ", "0.50000000000000000"}) {
    EXPECT_EQ(number_in<float>(text), 0.5f) << text;
  }
  EXPECT_EQ(number_in<float>("1."), 1.0f);
  EXPECT_EQ(number_in<float>("1e2"), 100.0f);
  EXPECT_EQ(number_in<float>("-1"), -1.0f);
  EXPECT_EQ(number_in<float>("1e-44"), 1e-44f);
  constexpr float kSmallest = std::numeric_limits<float>::denorm_min();
  for (const std::string& text :
       {std::string("1e-50"), std::string("1e-99999"), "0." + std::string(400, '0') + "1"}) {
    EXPECT_EQ(number_in<float>(text), kSmallest) << text;
    EXPECT_EQ(number_in<float>("-" + text), -kSmallest) << text;
  }
  ASSERT_EQ(number_in<float>("-0"), 0.0f);
  EXPECT_FALSE(std::signbit(*number_in<float>("-0")));
  for (const char* const text : {"", ".", "e5", "inf", "-inf", "infinity", "nan", "nan(1)", "1e99",
                                 "-1e99", "0x1p3", "1,5", "1.5.", "0.5x", "1 2", "1e"}) {
    EXPECT_EQ(number_in<float>(text), std::nullopt) << text;
  }
}

TEST(Numbers, ItemsOfALists) {
  const Items expected = {"1", "22", "3"};
  for (const char* const list :
       {"1,22,3", "1, 22, 3", " 1 ,22 , 3 ", "1 22 3", "1\t22\t3", "1\n22\n3\n",
        "1,\r\n22,\r\n3\r\n", "[1,22,3]", "[1, 22, 3]\n", "[\n  1,\n  22,\n  3\n]\n", "[1 22 3]"}) {
    EXPECT_EQ(items_of(list), expected) << list;
  }
  for (const char* const list : {"", " ", "\n", "[]", "[ ]\n"})
    EXPECT_EQ(items_of(list), Items{}) << list;
  EXPECT_EQ(items_of("1,"), (Items{"1", ""}));
  EXPECT_EQ(items_of(",1"), (Items{"", "1"}));
  EXPECT_EQ(items_of("1,,2"), (Items{"1", "", "2"}));
  EXPECT_EQ(items_of("[1"), (Items{"[1"}));
  EXPECT_EQ(items_of("[[1]]"), (Items{"[1]"}));
}

TEST(Numbers, OnlyWholeTextsWithinTheRange) {
  const Range<int> range{1, 8, "1 to 8"};
  EXPECT_EQ(parse_number("--n", "8", range), 8);
  for (const char* bad : {"", "0", "9", "-1", "1e0", "0x1", "+9", "1 2", "99999999999999"}) {
    test::expect_error_parts([&] { parse_number("--n", bad, range); }, ErrorKind::kUsage,
                             {"--n is \"" + std::string(bad) + "\"; valid is 1 to 8."});
  }
}

TEST(Numbers, NeitherNanNorInfinity) {
  const Range<float> range{0, 1, "0 to 1"};
  EXPECT_EQ(parse_number("--p", "1e-1", range), 0.1f);
  for (const char* bad : {"nan", "inf", "-inf", "1e99", "1.5", "-0.5", "1,5"}) {
    test::expect_error_parts([&] { parse_number("--p", bad, range); }, ErrorKind::kUsage,
                             {bad, "valid is 0 to 1."});
  }
}

}  // namespace
}  // namespace orthrus::cli
