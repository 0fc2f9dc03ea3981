// How a model is loaded, from Python's words.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "orthrus/device.h"
#include "orthrus/dtype.h"
#include "orthrus/weight_type.h"

namespace orthrus::python {

// "cpu", "cuda", "cuda:N", or "auto": the first CUDA device where there is one. Throws
// Error(kUsage).
Device parse_device(const std::string& text);

// "f32", "f16", "bf16", "q8_0" or "native". Throws Error(kUsage), which begins with `name`.
WeightType parse_weights(std::string_view name, const std::string& text);
// "f32" or "bf16".
DType parse_kv_cache(const std::string& text);

// As those are spelled: "q4_k".
std::string spelled(DType type);

}  // namespace orthrus::python
