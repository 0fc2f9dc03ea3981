#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace orthrus {

// The middle value, of an even number of them the mean of the two in the middle. Not of none.
inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*std::max_element(values.begin(), middle) + *middle) / 2;
}

}  // namespace orthrus
