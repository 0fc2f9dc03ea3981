#include "engine/stop_strings.h"

#include <gtest/gtest.h>

#include <random>

#include "support/fresh_seed.h"

namespace orthrus {
namespace {

TEST(StopStrings, TextBeforeTheFirstOneComesThrough) {
  StopStrings stops({"END", "\n\n"});
  EXPECT_EQ(stops.put("abc"), "abc");
  EXPECT_EQ(stops.put("dE"), "d");
  EXPECT_EQ(stops.put("Nx\n"), "ENx");
  EXPECT_EQ(stops.put("\nEND more"), "");
  EXPECT_TRUE(stops.found());
  EXPECT_EQ(stops.put("again"), "");
  EXPECT_EQ(stops.finish(), "");
}

TEST(StopStrings, WhatOnlyLookedLikeOneComesOutAtTheEnd) {
  StopStrings stops({"END"});
  EXPECT_EQ(stops.put("the EN"), "the ");
  EXPECT_EQ(stops.finish(), "EN");
  EXPECT_FALSE(stops.found());
}

TEST(StopStrings, NoneLetsEverythingThrough) {
  StopStrings stops({});
  EXPECT_EQ(stops.put("anything"), "anything");
  EXPECT_EQ(stops.finish(), "");
}

TEST(StopStrings, SpecialTokensCountButAreNoText) {
  StopStrings stops({"<end>\n", "c<end>"});
  EXPECT_EQ(stops.put("ab"), "ab");
  EXPECT_EQ(stops.put_hidden("<end>"), "");
  EXPECT_EQ(stops.put("x"), "x");
  EXPECT_EQ(stops.put_hidden("<end>"), "");
  EXPECT_EQ(stops.put("\nmore"), "");
  EXPECT_TRUE(stops.found());
  EXPECT_EQ(stops.finish(), "");

  stops = StopStrings({"c<end>"});
  EXPECT_EQ(stops.put("bc"), "b");
  EXPECT_EQ(stops.put_hidden("<other>"), "c");
  EXPECT_EQ(stops.put("c"), "");
  EXPECT_EQ(stops.put_hidden("<end>"), "");
  EXPECT_TRUE(stops.found());

  stops = StopStrings({"<end>\n"});
  EXPECT_EQ(stops.put("b"), "b");
  EXPECT_EQ(stops.put_hidden("<end>"), "");
  EXPECT_EQ(stops.finish(), "");
}

TEST(StopStrings, TheEarliestOneIsNamedAndOfThoseTheLongest) {
  const auto which = [](std::vector<std::string> wanted, std::string_view text) {
    StopStrings stops(std::move(wanted));
    stops.put(text);
    return stops.which();
  };
  EXPECT_EQ(which({"world", "o w", "lo"}, "hello world"), "lo");
  EXPECT_EQ(which({"lo", "lo wor", "lo w"}, "hello world"), "lo wor");
  EXPECT_EQ(which({"lo wor", "lo"}, "hello world"), "lo wor");
  EXPECT_EQ(which({"lo world!", "lo"}, "hello world"), "lo");
  EXPECT_EQ(which({"ell", "ello", "hello there"}, "hello world"), "ello");
  EXPECT_EQ(which({"word"}, "hello wor"), "");
  EXPECT_EQ(which({}, "hello"), "");
}

// However the text is cut into pieces, what comes through is the text before the earliest stop.
TEST(StopStrings, PiecesDoNotMatter) {
  std::mt19937 random(test::fresh_seed());
  const auto letters = [&](int longest) {
    std::string s(1 + random() % longest, 'a');
    for (char& c : s) c = static_cast<char>('a' + random() % 2);
    return s;
  };
  for (int trial = 0; trial < 5000; ++trial) {
    std::vector<std::string> wanted;
    for (size_t i = 0; i < 1 + random() % 3; ++i) wanted.push_back(letters(6));
    const std::string text = letters(30);
    StopStrings stops(wanted);
    std::string got;
    bool found_within = false;
    for (size_t at = 0; at < text.size() && !stops.found();) {
      const size_t count = 1 + random() % 5;
      got += stops.put(std::string_view(text).substr(at, count));
      at += count;
      found_within = stops.found();
    }
    got += stops.finish();
    ASSERT_EQ(stops.which().empty(), !found_within);
    size_t first = std::string::npos;
    for (const std::string& stop : wanted) first = std::min(first, text.find(stop));
    ASSERT_EQ(found_within, first != std::string::npos);
    // A stop string that ends later may begin earlier; by then text before the first found is out.
    if (first == std::string::npos) {
      ASSERT_EQ(got, text);
    } else {
      ASSERT_EQ(got, text.substr(0, got.size()));
      ASSERT_GE(got.size(), first);
      bool at_stop = false;
      for (const std::string& stop : wanted)
        at_stop |= text.compare(got.size(), stop.size(), stop) == 0;
      ASSERT_TRUE(at_stop) << "the text must end where a stop string begins";
      ASSERT_EQ(text.compare(got.size(), stops.which().size(), stops.which()), 0);
    }
  }
}

}  // namespace
}  // namespace orthrus
