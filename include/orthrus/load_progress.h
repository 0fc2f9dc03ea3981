// How far loading is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace orthrus {

enum class LoadStage : uint8_t {
  kChecking,    // every weight is read once, to see that it is finite
  kConverting,  // weights are put into the form in which the device uses them
  kMaking,      // weights are made up
};

// `done` of `total`, which counts bytes or weights and is the same throughout a stage.
using LoadProgress = std::function<void(LoadStage stage, size_t done, size_t total)>;

}  // namespace orthrus
