#include "engine_options.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <span>

#include "orthrus/error.h"

namespace orthrus::python {
namespace {

DType parse_type(std::string_view name, const std::string& text, std::span<const DType> valid) {
  std::string choices;
  for (const DType type : valid) {
    if (spelled(type) == text) return type;
    choices += choices.empty() ? "" : (type == valid.back() ? " or " : ", ");
    choices += spelled(type);
  }
  throw Error(ErrorKind::kUsage, fmt::format("{} is '{}'; valid is {}.", name, text, choices));
}

}  // namespace

Device parse_device(const std::string& text) {
  constexpr std::string_view kCuda = "cuda:";
  if (text == "cpu") return {};
  if (text == "cuda") return {Device::Kind::kCuda, 0};
  if (text == "auto") return cuda_devices() > 0 ? Device{Device::Kind::kCuda, 0} : Device{};
  if (text.starts_with(kCuda)) {
    int ordinal = -1;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + kCuda.size(), end, ordinal);
    if (error == std::errc() && stop == end && ordinal >= 0) {
      return {Device::Kind::kCuda, ordinal};
    }
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("device is '{}'; valid is cpu, cuda, cuda:N or auto.", text));
}

DType parse_weights(std::string_view name, const std::string& text) {
  constexpr DType kValid[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0};
  return parse_type(name, text, kValid);
}

DType parse_kv_cache(const std::string& text) {
  constexpr DType kValid[] = {DType::kF32, DType::kBF16};
  return parse_type("kv_cache", text, kValid);
}

std::string spelled(DType type) {
  std::string name(name_of(type));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return name;
}

}  // namespace orthrus::python
