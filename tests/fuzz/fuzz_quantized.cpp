// A quantized checkpoint: config.json, a line of "---", and a safetensors file. What resolves can
// be read, every row of it, and its numbers are no larger than it says.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "checkpoint/huggingface/config_json.h"
#include "checkpoint/huggingface/quantized_tensors.h"
#include "kernels/formats/format.h"
#include "orthrus/error.h"

namespace {

void read_all(const orthrus::Encoding& encoding) {
  const orthrus::Format& format = orthrus::format_of(encoding.type());
  const auto columns = static_cast<size_t>(encoding.cols());
  std::vector<std::byte> row(orthrus::bytes_of(format, columns));
  std::vector<float> numbers(columns);
  for (int i = 0; i < encoding.rows(); ++i) {
    encoding.read(i, 1, row.data());
    format.widen(row.data(), columns / static_cast<size_t>(format.block_columns), numbers.data());
    if (!encoding.finite(i, 1)) continue;
    for (const float number : numbers) {
      if (!(std::abs(number) <= encoding.largest())) std::abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  constexpr std::string_view kSeparator = "\n---\n";
  const std::string_view text(reinterpret_cast<const char*>(input), size);
  const size_t end = text.find(kSeparator);
  if (end == text.npos) return 0;
  const size_t begin = end + kSeparator.size();
  try {
    const auto quantization = orthrus::parse_quantization({"config", text.substr(0, end)});
    if (!quantization) return 0;
    const auto bytes = std::as_bytes(std::span(input + begin, size - begin));
    auto stored = orthrus::parse_safetensors(bytes, "fuzz").tensors;
    for (const orthrus::Tensor& tensor :
         orthrus::resolve_quantized(std::move(stored), *quantization)) {
      if (tensor.encoding) read_all(*tensor.encoding);
    }
  } catch (const orthrus::Error&) {
  }
  return 0;
}
