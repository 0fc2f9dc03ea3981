// The rejection rule at its ends; its statistics are in sampling_statistics_test.cpp.
#include "decode/rejection.h"

#include <gtest/gtest.h>

namespace orthrus {
namespace {

TEST(Rejection, AnImpossibleDraftIsNeverAcceptedAndASureOneAlways) {
  const Distribution p{{1, 0.5}, {2, 0.5}}, q{{0, 1.0}};
  for (int position = 0; position < 1000; ++position) {
    EXPECT_NE(accept_or_resample(0, q, p, 1, position), 0);
    EXPECT_EQ(accept_or_resample(1, p, p, 1, position), 1);
  }
}

}  // namespace
}  // namespace orthrus
