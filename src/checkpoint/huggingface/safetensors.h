// The safetensors format: 8 bytes of header length, a JSON header, then the tensors' bytes.
#pragma once

#include <cstddef>
#include <functional>
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

// The contents of a whole file, of whose tensors those that `wanted` takes by name, or all. The
// tensors' data points into `bytes`, at any byte: not all writers pad the header or order tensors
// so that numbers are aligned. `name` stands for the file in messages. Throws Error: kFile for a
// malformed file, kUnsupported for a wanted tensor of another type than DType's. As in the
// reference implementation, the tensors, wanted or not, must cover the data without overlaps or
// holes.
SafetensorsFile parse_safetensors(std::span<const std::byte> bytes, const std::string& name,
                                  const std::function<bool(const std::string&)>& wanted = {});

}  // namespace orthrus
