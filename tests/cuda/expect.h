// Counts what fails of a check, and prints the first few.
#pragma once

#include <fmt/core.h>

#include <string>

namespace orthrus {

inline int failures = 0;

inline void expect(bool holds, const std::string& what) {
  if (holds) return;
  if (++failures <= 20) fmt::print("FAILED: {}\n", what);
}

}  // namespace orthrus
