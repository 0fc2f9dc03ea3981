// The two views of the network (docs/design.md): they differ in their attention weights, in what
// they see, and in whether their keys are kept.
#pragma once

#include <array>
#include <compare>
#include <cstdint>

namespace orthrus {

enum class View : uint8_t { kAutoregressive, kDiffusion };

inline constexpr std::array<View, 2> kBothViews = {View::kAutoregressive, View::kDiffusion};

// Something that each view has one of.
template <typename T>
struct PerView {
  T ar{};
  T diffusion{};

  auto operator<=>(const PerView&) const = default;
  T& operator[](View view) { return view == View::kAutoregressive ? ar : diffusion; }
  const T& operator[](View view) const { return view == View::kAutoregressive ? ar : diffusion; }
};

}  // namespace orthrus
