// The number types that weights come in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace orthrus {

enum class DType : uint8_t { kF32, kF16, kBF16 };

constexpr size_t size_of(DType type) {
  return type == DType::kF32 ? 4 : 2;
}

// As safetensors spells it.
constexpr std::string_view name_of(DType type) {
  return type == DType::kF32 ? "F32" : type == DType::kF16 ? "F16" : "BF16";
}

}  // namespace orthrus
