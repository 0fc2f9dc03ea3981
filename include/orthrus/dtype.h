// The number types that weights come in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace orthrus {

enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ8_0,  // 32 weights of 8 bits that share one f16 scale; made when loading, never in a file
};

// Bytes of one number. Not for kQ8_0, whose numbers come in blocks.
constexpr size_t size_of(DType type) {
  return type == DType::kF32 ? 4 : 2;
}

// As safetensors spells it.
constexpr std::string_view name_of(DType type) {
  switch (type) {
    case DType::kF32:
      return "F32";
    case DType::kF16:
      return "F16";
    case DType::kBF16:
      return "BF16";
    case DType::kQ8_0:
      return "Q8_0";
  }
  return "";
}

}  // namespace orthrus
