// A named tensor of a checkpoint file: it lies where the file is mapped, or in a copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "orthrus/dtype.h"

namespace orthrus {

struct Tensor {
  std::string name;
  DType type = DType::kF32;
  std::vector<int64_t> shape;       // row-major, last dimension contiguous
  const std::byte* data = nullptr;  // owned by the Checkpoint
  size_t bytes = 0;                 // bytes_of(format_of(type), product of shape)
};

// Memory of tensors that could not be used where their file is mapped.
using TensorCopies = std::vector<std::unique_ptr<std::byte[]>>;

}  // namespace orthrus
