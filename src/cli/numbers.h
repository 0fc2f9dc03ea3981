// Numbers as the command line gives them.
#pragma once

#include <fmt/core.h>

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "cli/text.h"
#include "orthrus/error.h"

namespace orthrus::cli {

template <typename T>
struct Range {
  T low, high;        // both valid
  std::string words;  // "a whole number from 1 to 8"
};

// The number that all of `text` is: digits, a sign, and for real numbers a point and an exponent.
// One that is too small for T is the smallest that T has. Nothing for another text.
template <typename T>
std::optional<T> number_in(std::string_view text) {
  text = trimmed(text);
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  T value{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (stop != end || error == std::errc::invalid_argument) return std::nullopt;
  if constexpr (std::is_floating_point_v<T>) {
    // from_chars does not say which end of the range is passed; strtod does.
    if (error != std::errc{} && std::abs(std::strtod(std::string(text).c_str(), nullptr)) < 1) {
      const T smallest = std::numeric_limits<T>::denorm_min();
      return text.starts_with('-') ? -smallest : smallest;
    }
    if (error == std::errc{} && std::isfinite(value)) return value + T{0};  // not -0
    return std::nullopt;
  } else {
    return error == std::errc{} ? std::optional(value) : std::nullopt;
  }
}

// Throws Error(kUsage), naming `what`, the text and the range, for anything but a number within it.
template <typename T>
T parse_number(std::string_view what, std::string_view text, const Range<T>& range) {
  const std::optional<T> value = number_in<T>(text);
  if (!value || *value < range.low || *value > range.high) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{} is {}; valid is {}.", what, in_quotes(text), range.words));
  }
  return *value;
}

// Bytes: a whole number, alone or with KiB, MiB, GiB or TiB behind it, or KB, MB, GB or TB, which
// are powers of 1000. The case of letters does not matter. Nothing for another text.
std::optional<uint64_t> bytes_in(std::string_view text);

// The items of a list: separated by commas or white space, all of it in brackets or not. An item is
// empty where a comma has nothing before or behind it. No items in no text.
std::vector<std::string_view> items_of(std::string_view list);

// "1,2,3". Throws as parse_number does, naming `option` and the item.
template <typename T>
std::vector<T> parse_numbers(std::string_view option, std::string_view text,
                             const Range<T>& range) {
  std::vector<T> numbers;
  for (const std::string_view item : items_of(text)) {
    numbers.push_back(
        parse_number(fmt::format("{}: item {}", option, numbers.size() + 1), item, range));
  }
  return numbers;
}

}  // namespace orthrus::cli
