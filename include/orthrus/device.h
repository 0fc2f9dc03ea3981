// What runs the passes.
#pragma once

#include <cstdint>
#include <string>

namespace orthrus {

// The processor, or a CUDA device, counted from 0.
struct Device {
  enum class Kind : uint8_t { kCpu, kCuda };
  Kind kind = Kind::kCpu;
  int ordinal = 0;

  bool is_cpu() const { return kind == Kind::kCpu; }
  bool operator==(const Device&) const = default;
};
std::string name_of(const Device& device);  // "cpu", "cuda:0"

// How many CUDA devices there are; 0 in a build that has no kernels for them.
int cuda_devices();

}  // namespace orthrus
