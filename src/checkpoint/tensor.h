// A named tensor that lies in a mapped checkpoint file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "orthrus/dtype.h"

namespace orthrus {

struct Tensor {
  std::string name;
  DType type = DType::kF32;
  std::vector<int64_t> shape;       // row-major, last dimension contiguous
  const std::byte* data = nullptr;  // owned by the Checkpoint; aligned to nothing
  size_t bytes = 0;                 // bytes_of(format_of(type), product of shape)
};

}  // namespace orthrus
