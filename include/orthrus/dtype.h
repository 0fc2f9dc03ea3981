// The number formats that weights come in.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace orthrus {

// Numbers stored one by one, then blocks of numbers that share a scale. What a block holds, and how
// many bytes it has: src/kernels/formats/. Block formats are those of GGUF files.
enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ8_0,
  kQ4_0,
  kQ5_0,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kIQ4_XS,
};

// As safetensors and GGUF spell it: "BF16", "Q4_K".
std::string_view name_of(DType type);

// "Q5_0+Q8_0".
std::string names_of(std::span<const DType> types);

}  // namespace orthrus
