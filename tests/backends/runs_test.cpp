#include "backends/cuda/runs.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "support/fresh_seed.h"

namespace orthrus::cuda {
namespace {

// In pieces of any size, all bytes come to where a plain loop puts them, and nothing else is
// touched.
TEST(Runs, BytesComeToTheirPlaces) {
  std::mt19937 random(test::fresh_seed());
  const auto any = [&](size_t most) { return random() % (most + 1); };
  for (int round = 0; round < 2000; ++round) {
    const size_t run = 1 + any(12), step = run + any(9), first = any(5), total = any(7 * run);
    std::vector<std::byte> from(total);
    for (std::byte& byte : from) byte = static_cast<std::byte>(1 + random() % 255);
    std::vector<std::byte> want(first + (total / run + 1) * step), got = want;
    for (size_t i = 0; i < total; ++i) want[first + i / run * step + i % run] = from[i];
    Runs runs(first, run, step);
    for (size_t at = 0; at < total;) {
      const size_t bytes = 1 + any(std::min(3 * run, total - at) - 1);
      runs.put(from.data() + at, bytes, [&](const Runs::Piece& piece) {
        for (size_t row = 0; row < piece.rows; ++row) {
          ASSERT_LE(piece.at + row * piece.step + piece.bytes, got.size());
          std::memcpy(got.data() + piece.at + row * piece.step, piece.data + row * piece.bytes,
                      piece.bytes);
        }
      });
      at += bytes;
    }
    ASSERT_EQ(got, want) << "runs of " << run << " bytes, " << step << " apart, from " << first;
  }
}

}  // namespace
}  // namespace orthrus::cuda
