// What passes are said to take, from what was seen.
#include "decode/pass_times.h"

#include <gtest/gtest.h>

namespace orthrus {
namespace {

TEST(PassTimes, MediansInterpolationAndLargerPassesThatTookLess) {
  PassTimes times;
  EXPECT_EQ(times.expected(4), 0);
  times.add({1.0, 2});
  EXPECT_EQ(times.seen(2), 1);
  EXPECT_EQ(times.expected(1), 1.0);
  EXPECT_EQ(times.expected(4), 2.0);  // in proportion
  times.add({3.0, 10});
  EXPECT_DOUBLE_EQ(times.expected(6), 2.0);
  for (const double outlier : {1.0, 50.0, 1.0, 1.0}) times.add({outlier, 2});
  EXPECT_EQ(times.expected(2), 1.0);
  times.add({9.0, 5});  // while ten rows take 3
  EXPECT_LE(times.expected(5), 3.0);
  times.add({40.0, 100000});
  EXPECT_GT(times.expected(200), 3.0);
  EXPECT_LE(times.expected(2000000), 40.0);
}

TEST(PassTimes, OfDraftsAndOtherPassesStandInForEachOther) {
  PassTimes times;
  times.add({1.0, 1});
  times.add({5.0, 9, /*draft=*/true});  // nothing says yet that drafts are cheaper or dearer
  EXPECT_DOUBLE_EQ(times.expected(9), 5.0);
  EXPECT_DOUBLE_EQ(times.expected(5), 3.0);
  EXPECT_DOUBLE_EQ(times.expected_draft(5), 3.0);
  EXPECT_EQ(times.seen(9), 0);
  times.add({10.0, 9});
  EXPECT_DOUBLE_EQ(times.expected(9), 10.0);
  EXPECT_DOUBLE_EQ(times.expected_draft(9), 5.0);
  EXPECT_DOUBLE_EQ(times.expected_draft(1), 0.5);
  EXPECT_DOUBLE_EQ(times.expected(1), 1.0);
}

}  // namespace
}  // namespace orthrus
