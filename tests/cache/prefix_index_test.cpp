#include "cache/prefix_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "cache/pages.h"
#include "support/fresh_seed.h"

namespace orthrus {
namespace {

using Tokens = std::vector<int32_t>;

Tokens text(int length, int32_t first = 0) {
  Tokens tokens(static_cast<size_t>(length));
  for (int i = 0; i < length; ++i) tokens[static_cast<size_t>(i)] = first + i;
  return tokens;
}

class Index : public testing::Test {
 protected:
  // Remembers this text, computed anew.
  void learn(const Tokens& tokens, std::string_view salt = "") {
    KvSequence sequence(pool_);
    ASSERT_EQ(sequence.reserve(static_cast<int>(tokens.size())), Status::kOk);
    sequence.commit(static_cast<int>(tokens.size()));
    index_.insert(salt, tokens, sequence);
  }
  int known(const Tokens& tokens, std::string_view salt = "") {
    return index_.find(salt, tokens).length();
  }

  KvPool pool_ = test_pool(1000);
  PrefixIndex index_{1000};
};

TEST_F(Index, KnowsEveryBeginningOfATextToTheToken) {
  EXPECT_EQ(known(text(100)), 0);
  const Tokens whole = text(200);
  learn(whole);
  EXPECT_EQ(index_.pages(), 4u);
  for (int length = 0; length <= 200; ++length) {
    EXPECT_EQ(known(text(length)), length);
    Tokens other = text(length);
    other.push_back(-1);
    EXPECT_EQ(known(other), length);
  }
  EXPECT_EQ(known(text(300)), 200);
  EXPECT_EQ(known(text(100, 1)), 0);
  EXPECT_EQ(known({}), 0);
}

TEST_F(Index, GivesFullPagesToShareAndTheRestToCopy) {
  learn(text(200));
  const PrefixIndex::Match match = index_.find("", text(150));
  EXPECT_EQ(match.full.size(), 2u);
  EXPECT_EQ(match.partial_length, 150 - 2 * kPageSize);
  EXPECT_TRUE(match.partial);
  // A whole number of pages needs no copy.
  EXPECT_FALSE(index_.find("", text(2 * kPageSize)).partial);
}

TEST_F(Index, TextsOfDifferentSaltsDoNotMeet) {
  learn(text(100), "mine");
  EXPECT_EQ(known(text(100), "mine"), 100);
  EXPECT_EQ(known(text(100), "yours"), 0);
  EXPECT_EQ(known(text(100)), 0);
  EXPECT_EQ(known(text(100), "min"), 0);
}

TEST_F(Index, ALongerTextReplacesTheBeginningThatItHas) {
  learn(text(10));
  learn(text(20));
  EXPECT_EQ(index_.pages(), 1u);
  learn(text(15));
  EXPECT_EQ(index_.pages(), 1u);
  EXPECT_EQ(known(text(30)), 20);
  learn(text(70));
  EXPECT_EQ(index_.pages(), 2u);
  EXPECT_EQ(known(text(100)), 70);
}

TEST_F(Index, ForgetsWhatWasNotUsedForLongestFromItsEnd) {
  learn(text(3 * kPageSize));
  learn(text(3 * kPageSize, 1000));
  EXPECT_EQ(known(text(3 * kPageSize)), 3 * kPageSize);  // used last
  EXPECT_EQ(index_.evict(1), 1u);
  EXPECT_EQ(known(text(3 * kPageSize)), 3 * kPageSize);
  EXPECT_EQ(known(text(3 * kPageSize, 1000)), 2 * kPageSize);
  // That was a use of it.
  EXPECT_EQ(index_.evict(2), 2u);
  EXPECT_EQ(known(text(3 * kPageSize)), kPageSize);
  EXPECT_EQ(index_.evict(100), 3u);
  EXPECT_EQ(index_.pages(), 0u);
  EXPECT_EQ(pool_.held(), 0u);
}

TEST_F(Index, KeepsWhatSequencesHold) {
  learn(text(3 * kPageSize));
  KvSequence reader(pool_);
  PrefixIndex::Match match = index_.find("", text(2 * kPageSize));
  reader.adopt(std::move(match.full), 2 * kPageSize);
  EXPECT_EQ(index_.evictable(), 1u);
  EXPECT_EQ(index_.evict(3), 1u);
  EXPECT_EQ(known(text(3 * kPageSize)), 2 * kPageSize);
  reader.clear();
  EXPECT_EQ(index_.evict(3), 2u);
}

// Somebody computed the same beginning himself, and goes on behind what is known already.
TEST_F(Index, FreesWhatIsKnownOnlyUpToAPageThatIsHeld) {
  learn(text(2 * kPageSize));
  KvSequence sequence(pool_);
  ASSERT_EQ(sequence.reserve(5 * kPageSize), Status::kOk);
  sequence.commit(5 * kPageSize);
  index_.insert("", text(5 * kPageSize), sequence);
  EXPECT_EQ(index_.pages(), 5u);
  EXPECT_EQ(index_.evictable(), 2u);
  EXPECT_EQ(index_.evict(5), 2u);
  EXPECT_EQ(pool_.held(), 5u);
  sequence.clear();
  EXPECT_EQ(pool_.held(), index_.pages());
}

TEST(PrefixIndex, KeepsNoMorePagesThanItMay) {
  KvPool pool = test_pool(100);
  PrefixIndex index(5);
  for (int32_t i = 0; i < 20; ++i) {
    KvSequence sequence(pool);
    ASSERT_EQ(sequence.reserve(100), Status::kOk);
    sequence.commit(100);
    index.insert("", text(100, 1000 * i), sequence);
  }
  EXPECT_LE(index.pages(), 5u + 2u);
  EXPECT_EQ(index.find("", text(100, 19000)).length(), 100);
  EXPECT_LE(pool.held(), 7u);
}

// Against a plain list of all texts, over a small alphabet so that they begin alike.
TEST(PrefixIndex, IsWhatAListOfTextsSays) {
  std::mt19937 random(test::fresh_seed());
  KvPool pool = test_pool(5000);
  PrefixIndex index(5000);
  std::vector<std::pair<std::string, Tokens>> texts;
  const auto draw = [&] {
    // Runs of one token, so that borders fall anywhere.
    Tokens tokens;
    while (tokens.size() < 200 && random() % 8 > 0) {
      tokens.insert(tokens.end(), random() % 60, static_cast<int32_t>(random() % 3));
    }
    return tokens;
  };
  for (int i = 0; i < 400; ++i) {
    const std::string salt(random() % 2, 's');
    const Tokens tokens = draw();
    size_t want = 0;
    for (const auto& [of, known] : texts) {
      if (of != salt) continue;
      const auto end = std::ranges::mismatch(known, tokens).in1;
      want = std::max(want, static_cast<size_t>(end - known.begin()));
    }
    ASSERT_EQ(static_cast<size_t>(index.find(salt, tokens).length()), want);
    KvSequence sequence(pool);
    ASSERT_EQ(sequence.reserve(static_cast<int>(tokens.size())), Status::kOk);
    sequence.commit(static_cast<int>(tokens.size()));
    index.insert(salt, tokens, sequence);
    texts.emplace_back(salt, tokens);
  }
  const size_t pages = index.pages();
  EXPECT_EQ(index.evictable(), pages);
  EXPECT_EQ(pool.held(), pages);
  EXPECT_EQ(index.evict(2 * pages), pages);
  EXPECT_EQ(pool.held(), 0u);
}

}  // namespace
}  // namespace orthrus
