// The two views of the network (docs/design.md): they differ in their attention weights, in what
// they see, and in whether their keys are kept.
#pragma once

#include <cstdint>

namespace orthrus {

enum class View : uint8_t { kAutoregressive, kDiffusion };
inline constexpr int kViews = 2;

}  // namespace orthrus
