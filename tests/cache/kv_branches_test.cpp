#include "cache/kv_branches.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "cache/kv_sequence.h"
#include "cache/pages.h"
#include "support/fresh_seed.h"

namespace orthrus {
namespace {

class Branches : public testing::Test {
 protected:
  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }

  // A trunk of so many rows, row 0 included, and branches that begin anywhere.
  std::vector<Branch> random_branches(int trunk, int count) {
    std::vector<Branch> branches;
    int rows = trunk;
    for (int i = 0; i < count; ++i) {
      const int parent = pick(0, rows - 1), own = pick(1, 12);
      branches.push_back({parent, rows, own, depth_of(branches, parent) + 1});
      rows += own;
    }
    return branches;
  }

  std::mt19937 random_{test::fresh_seed()};
};

TEST_F(Branches, RowsKnowTheirDepthAndWhatIsBeforeThem) {
  //  0 - 1 - 2 - 3
  //      |- 4 - 5      5 - 6
  const std::vector<Branch> branches{{1, 4, 2, 2}, {5, 6, 1, 4}};
  const int depths[] = {0, 1, 2, 3, 2, 3, 4}, parents[] = {-1, 0, 1, 2, 1, 4, 5};
  for (int row = 0; row < 7; ++row) {
    EXPECT_EQ(depth_of(branches, row), depths[row]);
    EXPECT_EQ(parent_of(branches, row), parents[row]);
    EXPECT_EQ(depth_of({}, row), row);
  }
}

// Slots are written and copied as a pass would; then each row finds its own path, and nothing else,
// at all positions up to its own.
TEST_F(Branches, EachRowFindsItsOwnPath) {
  for (int trial = 0; trial < 200; ++trial) {
    KvPool pool = test_pool(1000);
    KvSequence sequence(pool);
    const int length = pick(1, 200), trunk = pick(1, 70);
    ASSERT_EQ(sequence.reserve(length), Status::kOk);
    std::map<std::pair<std::byte*, int>, int> slots;  // what was written there
    const auto slot_of = [](std::byte* const* pages, int position) {
      return std::pair(pages[position / kPageSize], position % kPageSize);
    };
    for (int p = 0; p < length; ++p) slots[slot_of(sequence.pages(), p)] = p - length;
    sequence.commit(length);

    const std::vector<Branch> branches = random_branches(trunk, pick(0, 12));
    ASSERT_EQ(sequence.reserve(trunk), Status::kOk);
    const size_t held = pool.held();
    ASSERT_EQ(sequence.reserve_branches(branches), Status::kOk);
    EXPECT_EQ(pool.held() - held, KvBranches::pages_wanted(length, branches));
    const int rows = branches.empty() ? trunk : branches.back().first_row + branches.back().rows;
    const auto pages_of = [&](int row) {
      std::byte* const* pages = sequence.pages();
      for (size_t b = 0; b < branches.size(); ++b) {
        if (row >= branches[b].first_row) pages = sequence.branches().pages(b);
      }
      return pages;
    };
    for (int row = 0; row < rows; ++row) {
      const auto slot = slot_of(pages_of(row), length + depth_of(branches, row));
      EXPECT_TRUE(slots.insert({slot, row}).second) << "two rows in one place";
    }
    std::set<std::pair<std::byte*, int>> read;
    for (const SlotCopy& copy : sequence.branches().copies()) {
      for (int s = copy.begin; s < copy.end; ++s)
        read.insert({const_cast<std::byte*>(copy.from), s});
    }
    for (const SlotCopy& copy : sequence.branches().copies()) {
      for (int s = copy.begin; s < copy.end; ++s) {
        EXPECT_FALSE(read.contains({copy.to, s})) << "the order of copies would matter";
        slots[{copy.to, s}] = slots.at({const_cast<std::byte*>(copy.from), s});
      }
    }
    const auto expect_path = [&](std::byte* const* pages, int row) {
      for (int at = row; at >= 0; at = parent_of(branches, at)) {
        ASSERT_EQ(slots.at(slot_of(pages, length + depth_of(branches, at))), at) << "row " << row;
      }
      for (int p = 0; p < length; ++p) ASSERT_EQ(slots.at(slot_of(pages, p)), p - length);
    };
    for (int row = 0; row < rows; ++row) expect_path(pages_of(row), row);

    // The path of any row may become the sequence.
    const int last = pick(0, rows - 1);
    std::optional<size_t> taken;
    for (size_t b = 0; b < branches.size(); ++b) {
      if (last >= branches[b].first_row) taken = b;
    }
    sequence.take_branch(taken);
    ASSERT_LE(depth_of(branches, last) + 1, sequence.room());
    expect_path(sequence.pages(), last);
    sequence.commit(depth_of(branches, last) + 1);
    EXPECT_EQ(pool.held(), sequence.page_count());
    for (size_t i = 0; i < sequence.page_count(); ++i) {
      EXPECT_EQ(sequence.shares()[i].holders(), 1);
      EXPECT_EQ(sequence.pages()[i], sequence.shares()[i].data());
    }
  }
}

TEST_F(Branches, TooFewPagesAreAStatusAndTheTrunkStays) {
  KvPool pool = test_pool(4);
  KvSequence sequence(pool);
  ASSERT_EQ(sequence.reserve(2 * kPageSize), Status::kOk);
  sequence.commit(kPageSize);
  const std::vector<Branch> two{{0, 5, 2, 1}, {1, 7, 3, 2}};
  ASSERT_EQ(sequence.reserve_branches(two), Status::kOk);
  EXPECT_EQ(pool.available(), 0u);
  sequence.take_branch(std::nullopt);
  EXPECT_EQ(pool.available(), 2u);
  const std::vector<Branch> three{{0, 5, 2, 1}, {1, 7, 3, 2}, {1, 10, 1, 2}};
  EXPECT_EQ(sequence.reserve_branches(three), Status::kOutOfMemory);
  EXPECT_EQ(pool.available(), 2u);
  EXPECT_EQ(sequence.page_count(), 2u);
  ASSERT_EQ(sequence.reserve_branches(two), Status::kOk);
  sequence.clear();
  EXPECT_EQ(pool.held(), 0u);
}

}  // namespace
}  // namespace orthrus
