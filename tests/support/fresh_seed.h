// The seed of a test's random inputs.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <random>

namespace orthrus::test {

// Another one each run, or what ORTHRUS_TEST_SEED says. It is told at once, so that it is known too
// where the test ends its process.
inline unsigned fresh_seed() {
  const char* const given = std::getenv("ORTHRUS_TEST_SEED");
  const unsigned seed = given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 0))
                                         : std::random_device{}();
  std::printf("ORTHRUS_TEST_SEED=%u\n", seed);
  std::fflush(stdout);
  return seed;
}

}  // namespace orthrus::test
