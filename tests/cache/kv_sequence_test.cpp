#include "cache/kv_sequence.h"

#include <gtest/gtest.h>

#include "cache/pages.h"

namespace orthrus {
namespace {

TEST(KvSequence, ReservesPagesAheadAndCommitsWhatIsWritten) {
  KvPool pool = test_pool(3);
  KvSequence sequence(pool);
  EXPECT_EQ(sequence.reserve(1), Status::kOk);
  EXPECT_EQ(sequence.room(), kPageSize);
  EXPECT_EQ(sequence.length(), 0);
  EXPECT_EQ(sequence.reserve(kPageSize), Status::kOk);
  EXPECT_EQ(pool.held(), 1u);
  sequence.commit(kPageSize - 1);
  EXPECT_EQ(sequence.pages_missing(1), 0u);
  EXPECT_EQ(sequence.pages_missing(2), 1u);
  EXPECT_EQ(sequence.reserve(2), Status::kOk);
  EXPECT_EQ(pool.held(), 2u);
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(sequence.pages()[i], sequence.shares()[i].data());
  // What was reserved and not committed stays reserved.
  sequence.commit(0);
  EXPECT_EQ(sequence.room(), kPageSize + 1);
}

TEST(KvSequence, AnExhaustedPoolIsAStatusAndChangesNothing) {
  KvPool pool = test_pool(3);
  KvSequence sequence(pool), other(pool);
  ASSERT_EQ(sequence.reserve(kPageSize + 1), Status::kOk);
  sequence.commit(kPageSize + 1);
  EXPECT_EQ(other.reserve(kPageSize + 1), Status::kOutOfMemory);
  EXPECT_EQ(pool.available(), 1u);
  EXPECT_EQ(sequence.reserve(2 * kPageSize), Status::kOutOfMemory);
  EXPECT_EQ(sequence.length(), kPageSize + 1);
  EXPECT_EQ(sequence.page_count(), 2u);
  sequence.clear();
  EXPECT_EQ(sequence.length(), 0);
  EXPECT_EQ(other.reserve(3 * kPageSize), Status::kOk);
}

TEST(KvSequence, GivesItsPagesBackUnlessItWasMovedFrom) {
  KvPool pool = test_pool(2);
  {
    KvSequence sequence(pool);
    ASSERT_EQ(sequence.reserve(2 * kPageSize), Status::kOk);
    sequence.commit(70);
    KvSequence taken = std::move(sequence);
    EXPECT_EQ(taken.length(), 70);
    EXPECT_EQ(sequence.length(), 0);
    EXPECT_EQ(sequence.page_count(), 0u);
    EXPECT_EQ(pool.held(), 2u);
  }
  EXPECT_EQ(pool.held(), 0u);
}

TEST(KvSequence, BeginsWithPagesThatOthersShare) {
  KvPool pool = test_pool(4);
  KvSequence first(pool), second(pool);
  ASSERT_EQ(first.reserve(2 * kPageSize), Status::kOk);
  first.commit(2 * kPageSize);
  second.adopt(first.shares(), 2 * kPageSize);
  EXPECT_EQ(pool.held(), 2u);
  ASSERT_EQ(second.reserve(1), Status::kOk);
  EXPECT_EQ(second.pages()[0], first.pages()[0]);
  first.clear();
  EXPECT_EQ(pool.held(), 3u);
  second.clear();
  EXPECT_EQ(pool.held(), 0u);
}

}  // namespace
}  // namespace orthrus
