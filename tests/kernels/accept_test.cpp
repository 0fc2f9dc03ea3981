#include "kernels/accept.h"

#include <gtest/gtest.h>

#include <vector>

namespace orthrus {
namespace {

struct Outcome {
  Acceptance acceptance;
  std::vector<int32_t> emitted;
};

// With these drafts, where the AR view chooses these tokens and `last` ends the sequence.
Outcome accept(const std::vector<int32_t>& drafts, const std::vector<int32_t>& chosen,
               int32_t last = -1) {
  Outcome outcome;
  outcome.acceptance = accept_drafts(
      drafts.data(), static_cast<int>(drafts.size()),
      [&](int i) { return chosen.at(static_cast<size_t>(i)); },
      [&](int32_t y) {
        outcome.emitted.push_back(y);
        return y != last;
      });
  EXPECT_EQ(outcome.acceptance.emitted, static_cast<int>(outcome.emitted.size()));
  return outcome;
}

TEST(Accept, DraftsAsLongAsTheyAreWhatTheArViewChoosesAndOneTokenMore) {
  const Outcome some = accept({1, 2, 3}, {1, 2, 9, 4});
  EXPECT_EQ(some.emitted, (std::vector<int32_t>{1, 2, 9}));
  EXPECT_EQ(some.acceptance.accepted, 2);
  const Outcome none = accept({1, 2}, {7, 2, 3});
  EXPECT_EQ(none.emitted, (std::vector<int32_t>{7}));
  EXPECT_EQ(none.acceptance.accepted, 0);
  const Outcome all = accept({1, 2}, {1, 2, 3});
  EXPECT_EQ(all.emitted, (std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(all.acceptance.accepted, 2);
  EXPECT_EQ(accept({}, {5}).emitted, (std::vector<int32_t>{5}));
}

// A draft that ends the sequence was right, but no token follows it.
TEST(Accept, NothingAfterTheLastToken) {
  const Outcome outcome = accept({1, 2, 3}, {1, 2, 3, 4}, 2);
  EXPECT_EQ(outcome.emitted, (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(outcome.acceptance.accepted, 2);
  EXPECT_EQ(accept({1, 2}, {9, 2, 3}, 9).acceptance.accepted, 0);
}

TEST(Accept, WhereNothingIsChosenWhatCameBeforeStands) {
  const Outcome later = accept({1, 2}, {1, -1, 3});
  EXPECT_EQ(later.emitted, (std::vector<int32_t>{1}));
  EXPECT_EQ(later.acceptance.accepted, 1);
  EXPECT_FALSE(later.acceptance.failed);
  EXPECT_TRUE(accept({1, 2}, {-1, 2, 3}).acceptance.failed);
}

}  // namespace
}  // namespace orthrus
