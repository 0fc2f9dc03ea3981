#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace orthrus {

// The middle value, of an even number of them the larger of the two in the middle. Not of none.
inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace orthrus
