// How a decode step ended. Decoding reports by value; only loading and argument checks throw.
#pragma once

#include <cstdint>
#include <string_view>

namespace orthrus {

enum class Status : uint8_t {
  kOk,
  kOutOfMemory,      // no room for more keys and values, or for a pass's activations
  kNoThreads,        // the system gave no threads to compute passes with
  kNonFiniteLogits,  // the model computed NaN or infinity: the weights are broken
  kDeviceLost,       // the device failed while it computed: this engine computes nothing any more
};

std::string_view describe(Status status);  // a sentence for a person, without a full stop

}  // namespace orthrus
