#include "kernels/philox.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace orthrus {
namespace {

// The known answers that the authors publish with Random123 (kat_vectors, philox4x32 10).
TEST(Philox, KnownAnswers) {
  using Block = std::array<uint32_t, 4>;
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, EveryCoordinateMatters) {
  std::set<double> seen;
  int count = 0;
  for (const uint64_t seed : {0ull, 1ull, 1ull << 32, ~0ull}) {
    for (const Stream stream : {Stream::kSelect, Stream::kDraft, Stream::kAccept}) {
      for (int position = 0; position < 5; ++position) {
        for (int token = 0; token < 9; ++token) {
          seen.insert(uniform(seed, stream, position, token));
          ++count;
        }
      }
    }
  }
  EXPECT_EQ(static_cast<int>(seen.size()), count);
}

TEST(Philox, UniformsStayInsideAndGumbelsBelowTheirBound) {
  // The largest u that 32 bits give is 1 - 2^-33.
  EXPECT_LT(-std::log(-std::log(1 - 0x1p-33)), kMaxGumbel);
  for (int token = 0; token < 100000; ++token) {
    const double u = uniform(3, Stream::kSelect, 1, token);
    ASSERT_GT(u, 0);
    ASSERT_LT(u, 1);
    ASSERT_LT(gumbel(3, Stream::kSelect, 1, token), kMaxGumbel);
  }
}

TEST(Philox, WordsThatCannotReachANoiseDoNot) {
  for (int k = 0; k < 23; ++k) {
    const auto there = static_cast<int64_t>(std::exp(-std::exp(-k)) * 0x1p32);
    for (int64_t at = there - 5; at <= std::min(there + 5, int64_t{0xffffffff}); ++at) {
      const auto word = static_cast<uint32_t>(at);
      ASSERT_TRUE(may_reach(word, gumbel(word))) << k << ", word " << word;
    }
  }
  NoiseWords words(3, Stream::kSelect, 1);
  int reached = 0;
  for (int token = 0; token < 100000; ++token) {
    const uint32_t word = words.of(token);
    ASSERT_EQ(gumbel(word), gumbel(3, Stream::kSelect, 1, token));
    ASSERT_TRUE(may_reach(word, gumbel(word)));
    ASSERT_TRUE(may_reach(word, -1));
    reached += may_reach(word, 8.5);
  }
  EXPECT_LT(reached, 100);  // of noise of 8 or more there are 34 in expectation
  EXPECT_FALSE(may_reach(0xffffffff, 23));
}

}  // namespace
}  // namespace orthrus
