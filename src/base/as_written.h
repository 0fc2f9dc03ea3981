#pragma once

#include <charconv>

namespace orthrus {

// The double whose shortest decimal digits are the float's: 1e-06, not 9.999999974752427e-07. What
// writes floats as doubles, as JSON does, then writes what a person wrote.
inline double as_written(float value) {
  char digits[32];
  const auto written = std::to_chars(digits, digits + sizeof digits, value);
  double same = value;
  std::from_chars(digits, written.ptr, same);
  return same;
}

}  // namespace orthrus
