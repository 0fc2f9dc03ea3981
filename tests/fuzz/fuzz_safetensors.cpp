// A whole safetensors file. What parses must be as large as its shape says, aligned, and the bytes
// of the file.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "checkpoint/huggingface/safetensors.h"
#include "kernels/formats/format.h"
#include "orthrus/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  const auto bytes = std::as_bytes(std::span(input, size));
  try {
    size_t data_bytes = 0, copied_bytes = 0;
    const orthrus::SafetensorsFile file = orthrus::parse_safetensors(bytes, "fuzz");
    for (const orthrus::Tensor& tensor : file.tensors) {
      auto expected = static_cast<size_t>(orthrus::format_of(tensor.type).block_bytes);
      for (const int64_t dimension : tensor.shape) expected *= static_cast<size_t>(dimension);
      if (tensor.bytes != expected) std::abort();
      const auto width = static_cast<size_t>(orthrus::format_of(tensor.type).block_bytes);
      if (reinterpret_cast<uintptr_t>(tensor.data) % width != 0) std::abort();
      const auto is_copy = [&](const auto& copy) { return copy.get() == tensor.data; };
      if (std::ranges::any_of(file.copies, is_copy)) {
        copied_bytes += tensor.bytes;
      } else if (tensor.data < bytes.data() || tensor.data + tensor.bytes > bytes.data() + size) {
        std::abort();
      }
      data_bytes += tensor.bytes;
    }
    if (data_bytes > size || copied_bytes > data_bytes) std::abort();
  } catch (const orthrus::Error&) {
  }
  return 0;
}
