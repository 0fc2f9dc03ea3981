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

// A tensor as a file has it, of any type.
struct StoredTensor {
  std::string name;
  std::string type;  // as the file calls it: "BF16", "I32", "F8_E4M3"
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;  // as many as type and shape ask for; aligned to nothing
  std::string file;                  // for messages
};

// The same as weights. Throws Error(kUnsupported) where its type is none of F32, F16 and BF16.
Tensor as_tensor(StoredTensor stored);
std::vector<Tensor> as_tensors(std::vector<StoredTensor> stored);

struct SafetensorsFile {
  std::vector<StoredTensor> tensors;            // sorted by name
  std::map<std::string, std::string> metadata;  // whatever the file's writer put there
};

// The contents of a whole file, of whose tensors those that `wanted` takes by name, or all. Their
// bytes lie in `bytes`, at any byte: not all writers pad the header or order tensors
// so that numbers are aligned. `name` stands for the file in messages. Throws Error: kFile for a
// malformed file, kUnsupported for a wanted tensor of a type that safetensors does not have. As in
// the reference implementation, the tensors, wanted or not, must cover the data without overlaps or
// holes.
SafetensorsFile parse_safetensors(std::span<const std::byte> bytes, const std::string& name,
                                  const std::function<bool(const std::string&)>& wanted = {});

}  // namespace orthrus
