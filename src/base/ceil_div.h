#pragma once

#include <type_traits>

namespace orthrus {

// n / by, rounded up. n >= 0, by > 0, and n + by fits T.
template <typename T>
constexpr T ceil_div(T n, std::type_identity_t<T> by) {
  return (n + by - 1) / by;
}

// The least multiple of `to` that is at least n.
template <typename T>
constexpr T round_up(T n, std::type_identity_t<T> to) {
  return ceil_div(n, to) * to;
}

}  // namespace orthrus
