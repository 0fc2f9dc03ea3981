// A named tensor that lies in a mapped checkpoint file, in one piece, or encoded in several.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/formats/encoding.h"
#include "orthrus/dtype.h"

namespace orthrus {

struct Tensor {
  std::string name;
  DType type = DType::kF32;
  std::vector<int64_t> shape;       // row-major, last dimension contiguous
  const std::byte* data = nullptr;  // owned by the Checkpoint; aligned to nothing
  size_t bytes = 0;                 // bytes_of(format_of(type), product of shape)
  // Of a matrix [rows][cols] that is encoded, else null. It has its numbers as rows of `type`;
  // `data` is null then, and `bytes` are those of all its parts. It reads the Checkpoint's maps.
  std::shared_ptr<const Encoding> encoding = {};
};

}  // namespace orthrus
