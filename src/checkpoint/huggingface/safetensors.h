// The safetensors format: 8 bytes of header length, a JSON header, then the tensors' bytes.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/tensor.h"

namespace orthrus {

struct SafetensorsFile {
  std::vector<Tensor> tensors;                  // sorted by name
  std::map<std::string, std::string> metadata;  // whatever the file's writer put there
};

// The contents of a whole file. The tensors' data points into `bytes`, and is aligned to the
// tensor's type if `bytes` is aligned to 8. `name` stands for the file in messages.
// Throws Error: kFile for a malformed file, kUnsupported for a tensor of another type than DType's.
// As in the reference implementation, the tensors must cover the data without overlaps or holes.
SafetensorsFile parse_safetensors(std::span<const std::byte> bytes, const std::string& name);

}  // namespace orthrus
