// A whole safetensors file. What parses must lie within the file, be as large as its shape says,
// and can be read, however it is aligned.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <utility>
#include <vector>

#include "checkpoint/huggingface/safetensors.h"
#include "kernels/formats/format.h"
#include "orthrus/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  const auto bytes = std::as_bytes(std::span(input, size));
  try {
    size_t data_bytes = 0;
    orthrus::SafetensorsFile file = orthrus::parse_safetensors(bytes, "fuzz");
    for (const orthrus::Tensor& tensor : orthrus::as_tensors(std::move(file.tensors))) {
      auto expected = static_cast<size_t>(orthrus::format_of(tensor.type).block_bytes);
      for (const int64_t dimension : tensor.shape) expected *= static_cast<size_t>(dimension);
      if (tensor.bytes != expected) std::abort();
      if (tensor.data < bytes.data()) std::abort();
      if (tensor.data + tensor.bytes > bytes.data() + size) std::abort();
      const orthrus::Format& format = orthrus::format_of(tensor.type);
      const size_t count = tensor.bytes / static_cast<size_t>(format.block_bytes);
      std::vector<float> numbers(count);
      format.widen(tensor.data, count, numbers.data());
      const bool finite = std::ranges::all_of(numbers, [](float x) { return std::isfinite(x); });
      if (finite != format.finite(tensor.data, count)) std::abort();
      data_bytes += tensor.bytes;
    }
    if (data_bytes > size) std::abort();
  } catch (const orthrus::Error&) {
  }
  return 0;
}
