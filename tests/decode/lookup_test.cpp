#include "decode/lookup.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "decode/lookup_history.h"
#include "support/fresh_seed.h"

namespace orthrus {
namespace {

using Tokens = std::vector<int32_t>;

// The definition: every place, from the last one on.
struct Plain {
  Tokens drafts;
  int match = 0;
};
Plain search(const Tokens& text, int most) {
  const int size = static_cast<int>(text.size());
  int best = -1;
  Plain found;
  for (int at = size - 2; at >= 1; --at) {
    int length = 0;
    while (length <= at && length < Lookup::kMostMatch &&
           text[at - length] == text[size - 1 - length]) {
      ++length;
    }
    if (length >= Lookup::kLeastMatch && length > found.match) {
      best = at;
      found.match = length;
    }
  }
  for (int i = 0; best >= 0 && i < std::min(most, Lookup::kMostDrafts); ++i) {
    const int next = best + 1 + i;
    found.drafts.push_back(next < size ? text[next] : found.drafts[next - size]);
  }
  return found;
}

// Whether a match of this length stands somewhere, with these drafts behind it.
bool follows_somewhere(const Tokens& text, const Tokens& drafts, int match) {
  const auto size = text.size();
  for (size_t at = static_cast<size_t>(match) - 1; at + 1 < size; ++at) {
    bool same = true;
    for (size_t i = 0; i < static_cast<size_t>(match); ++i) {
      same = same && text[at - i] == text[size - 1 - i];
    }
    for (size_t i = 0; i < drafts.size(); ++i) {
      const size_t next = at + 1 + i;
      same = same && drafts[i] == (next < size ? text[next] : drafts[next - size]);
    }
    if (same) return true;
  }
  return false;
}

Tokens drafts_of(const LookupDrafts& found) {
  return {found.tokens.begin(), found.tokens.end()};
}

TEST(Lookup, FindsWhatAPlainSearchFinds) {
  const unsigned first_seed = test::fresh_seed();
  int found_some = 0, long_matches = 0, near = 0;
  for (unsigned i = 0; i < 60; ++i) {
    const unsigned seed = first_seed + i;
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    const auto pick = [&](int most) { return static_cast<int>(random() % (most + 1)); };
    const int size = 2 + pick(300), kinds = 1 + pick(60);
    Lookup lookup(size);
    Tokens text;
    while (static_cast<int>(text.size()) < size) {
      const int room = size - static_cast<int>(text.size());
      if (!text.empty() && pick(3) == 0) {  // a quotation
        const auto back = static_cast<size_t>(1 + pick(static_cast<int>(text.size()) - 1));
        for (int i = std::min(pick(50), room); i > 0; --i) text.push_back(text[text.size() - back]);
      } else {
        text.push_back(pick(kinds) * 1000003 % 150000);
      }
      const int most = pick(40);
      const LookupDrafts found = lookup.find(text, most);
      const Plain expected = search(text, most);
      if (found.near) {  // of equally long matches another one than the last, or a shorter one
        ASSERT_EQ(found.match, std::max(expected.match, 1));
        ASSERT_TRUE(follows_somewhere(text, drafts_of(found), found.match));
        ++near;
      } else {
        ASSERT_EQ(drafts_of(found), expected.drafts);
        ASSERT_EQ(found.match, expected.match);
      }
      found_some += expected.match > 0;
      long_matches += expected.match > 10;
    }
  }
  EXPECT_GT(found_some, 100);
  EXPECT_GT(long_matches, 10);
  EXPECT_GT(near, 10);
}

TEST(Lookup, PrefersTheLongestMatchThenTheLast) {
  const Tokens text = {9, 1, 2, 3, 8, 1, 2, 4, 7, 1, 2, 5, 9, 1, 2};
  Lookup lookup(100);
  const LookupDrafts found = lookup.find(text, 3);
  EXPECT_EQ(found.match, 3);
  EXPECT_EQ(drafts_of(found), (Tokens{3, 8, 1}));
  Tokens other = text;
  other[12] = 6;
  Lookup fresh(100);
  EXPECT_EQ(drafts_of(fresh.find(other, 2)), (Tokens{5, 6}));
}

// "a b c d e f g h" is copied with another token for d, and then with two left out.
TEST(Lookup, GoesOnBehindWhatWasChanged) {
  Tokens text = {1, 2, 3, 4, 5, 6, 7, 8, 50, 5, 51, 1, 2, 3};
  Lookup lookup(100);
  EXPECT_EQ(lookup.find(text, 4).match, 3);
  text.push_back(90);
  EXPECT_EQ(lookup.find(text, 4).match, 0);
  text.push_back(5);  // the last 5 is another
  const LookupDrafts found = lookup.find(text, 3);
  EXPECT_TRUE(found.near);
  EXPECT_EQ(found.match, 1);
  EXPECT_EQ(drafts_of(found), (Tokens{6, 7, 8}));
  text.push_back(8);
  EXPECT_EQ(drafts_of(lookup.find(text, 1)), Tokens{50});
}

TEST(Lookup, WhatRepeatsItselfIsContinued) {
  Lookup lookup(10);
  EXPECT_EQ(drafts_of(lookup.find(Tokens{1, 2, 3, 1, 2}, 8)), (Tokens{3, 1, 2, 3, 1, 2, 3, 1}));
  Lookup one(10);
  EXPECT_EQ(drafts_of(one.find(Tokens{5, 5, 5}, 4)), (Tokens{5, 5, 5, 5}));
}

TEST(Lookup, ShortTextsHaveNothing) {
  Lookup lookup(3);
  EXPECT_EQ(lookup.find({}, 5).match, 0);
  EXPECT_EQ(lookup.find(Tokens{1}, 5).match, 0);
  EXPECT_EQ(lookup.find(Tokens{1, 1}, 5).match, 0);
  EXPECT_TRUE(lookup.find(Tokens{1, 1, 1}, 0).tokens.empty());
}

// However often a pair stands in a text, a call looks at a limited number of places.
TEST(Lookup, TakesALongTextOfOneToken) {
  const Tokens text(200000, 3);
  Lookup lookup(static_cast<int>(text.size()));
  for (size_t size = 1000; size <= text.size(); size += 1000) {
    EXPECT_EQ(lookup.find(std::span(text).first(size), 31).match, Lookup::kMostMatch);
  }
}

TEST(LookupHistory, LongerMatchesArePreferredAndTextsDiffer) {
  LookupHistory history;
  for (int match = 2; match <= Lookup::kMostMatch; ++match) {
    for (const bool near : {false, true}) {
      EXPECT_GE(history.acceptance(match, near), history.acceptance(match - 1, near)) << match;
    }
    EXPECT_GE(history.acceptance(match, true), history.acceptance(match, false)) << match;
  }
  RecentLookups quotes(history), writes(history);
  for (int i = 0; i < 40; ++i) {
    quotes.observe(5, false, true);
    writes.observe(5, false, i % 10 == 0);
  }
  EXPECT_GT(quotes.acceptance(5, false), 0.85);
  EXPECT_LT(writes.acceptance(5, false), 0.25);
  EXPECT_NEAR(history.acceptance(5, false), 0.55, 0.15);
  EXPECT_NEAR(RecentLookups(history).acceptance(5, false), history.acceptance(5, false), 1e-9);
  EXPECT_GT(history.acceptance(1000, true), 0.9);  // beyond all that is counted
}

}  // namespace
}  // namespace orthrus
