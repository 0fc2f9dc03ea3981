// The words that options have, for the command and for Python. The case of letters does not matter,
// as BF16 is printed so.
#pragma once

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "orthrus/chat.h"
#include "orthrus/device.h"
#include "orthrus/request.h"
#include "orthrus/weight_type.h"

namespace orthrus {

template <typename T>
using Choices = std::vector<std::pair<std::string, T>>;

inline bool same_letters(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

// Nothing for another word.
template <typename T>
std::optional<T> choice_in(std::string_view text, const Choices<T>& choices) {
  for (const auto& [word, value] : choices) {
    if (same_letters(text, word)) return value;
  }
  return std::nullopt;
}

// "f32, f16 or bf16".
template <typename T>
std::string in_words(const Choices<T>& choices) {
  std::string words;
  for (size_t i = 0; i < choices.size(); ++i) {
    if (i > 0) words += i + 1 == choices.size() ? " or " : ", ";
    words += choices[i].first;
  }
  return words;
}

inline Choices<WeightType> weight_choices() {
  return {{"f32", DType::kF32},
          {"f16", DType::kF16},
          {"bf16", DType::kBF16},
          {"q8_0", DType::kQ8_0},
          {"native", WeightType::native()}};
}

inline Choices<DType> kv_cache_choices() {
  return {{"f32", DType::kF32}, {"bf16", DType::kBF16}};
}

inline Choices<Mode> mode_choices() {
  return {{"ar", Mode::kAr}, {"dual", Mode::kDual}, {"auto", Mode::kAuto}};
}

inline Choices<AcceptRule> accept_choices() {
  return {{"match", AcceptRule::kMatch}, {"rejection", AcceptRule::kRejection}};
}

inline Choices<ChatFormat> chat_format_choices() {
  Choices<ChatFormat> choices;
  for (const ChatFormatInfo& info : chat_formats()) choices.emplace_back(info.name, info.format);
  return choices;
}

// Of cpu, cuda, which is the first CUDA device, and cuda:N; nothing for another text.
inline std::optional<Device> device_in(std::string_view text) {
  if (same_letters(text, "cpu")) return Device{};
  constexpr std::string_view kCuda = "cuda";
  if (!same_letters(text.substr(0, kCuda.size()), kCuda)) return std::nullopt;
  text.remove_prefix(kCuda.size());
  if (text.empty()) return Device{Device::Kind::kCuda, 0};
  if (text[0] != ':') return std::nullopt;
  int ordinal = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + 1, end, ordinal);
  if (error != std::errc() || stop != end || text[1] == '-') return std::nullopt;
  return Device{Device::Kind::kCuda, ordinal};
}

}  // namespace orthrus
