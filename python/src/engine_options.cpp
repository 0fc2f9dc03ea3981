#include "engine_options.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

#include "orthrus/error.h"

namespace orthrus::python {
namespace {

template <typename T>
using Choice = std::pair<std::string_view, T>;

template <typename T, size_t kCount>
T parse_choice(std::string_view name, const std::string& text, const Choice<T> (&choices)[kCount]) {
  std::string words;
  for (size_t i = 0; i < kCount; ++i) {
    const auto& [word, value] = choices[i];
    if (word == text) return value;
    words += i == 0 ? "" : i + 1 == kCount ? " or " : ", ";
    words += word;
  }
  throw Error(ErrorKind::kUsage, fmt::format("{} is '{}'; valid is {}.", name, text, words));
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

WeightType parse_weights(std::string_view name, const std::string& text) {
  static constexpr Choice<WeightType> kChoices[] = {{"f32", DType::kF32},
                                                    {"f16", DType::kF16},
                                                    {"bf16", DType::kBF16},
                                                    {"q8_0", DType::kQ8_0},
                                                    {"native", WeightType::native()}};
  return parse_choice(name, text, kChoices);
}

DType parse_kv_cache(const std::string& text) {
  static constexpr Choice<DType> kChoices[] = {{"f32", DType::kF32}, {"bf16", DType::kBF16}};
  return parse_choice("kv_cache", text, kChoices);
}

std::string spelled(DType type) {
  std::string name(name_of(type));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return name;
}

}  // namespace orthrus::python
