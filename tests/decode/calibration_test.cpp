// How often drafts are right that are said to be so sure.
#include "decode/calibration.h"

#include <gtest/gtest.h>

namespace orthrus {
namespace {

TEST(Calibration, BeginsWithWhatIsSaidAndLearns) {
  Calibration calibration;
  for (const float p : {0.0f, 0.2f, 0.5f, 0.85f, 1.0f}) {
    EXPECT_NEAR(calibration.acceptance(p), p, 0.1) << p;
  }
  for (int i = 0; i < 300; ++i) calibration.observe(0.5f, i % 4 == 0);
  EXPECT_NEAR(calibration.acceptance(0.5f), 0.25, 0.05);
  EXPECT_NEAR(calibration.acceptance(0.95f), 0.95, 0.1);
}

}  // namespace
}  // namespace orthrus
