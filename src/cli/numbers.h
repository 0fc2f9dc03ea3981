// Numbers as the command line gives them.
#pragma once

#include <fmt/core.h>

#include <charconv>
#include <string>
#include <string_view>

#include "cli/text.h"
#include "orthrus/error.h"

namespace orthrus::cli {

template <typename T>
struct Range {
  T low, high;        // both valid
  std::string words;  // "a whole number from 1 to 8"
};

// Throws Error(kUsage), naming `what`, the text and the range, for anything but a number within it.
template <typename T>
T parse_number(std::string_view what, std::string_view text, const Range<T>& range) {
  T value{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  // Written so that NaN is not valid.
  const bool valid =
      error == std::errc{} && stop == end && value >= range.low && value <= range.high;
  if (!valid) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{} is {}; valid is {}.", what, in_quotes(text), range.words));
  }
  return value;
}

}  // namespace orthrus::cli
