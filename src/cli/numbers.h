// Numbers as the command line gives them.
#pragma once

#include <fmt/core.h>

#include <charconv>
#include <string>
#include <string_view>
#include <vector>

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

// "1,2,3". Throws as parse_number does, naming `option` and the item.
template <typename T>
std::vector<T> parse_numbers(std::string_view option, std::string_view text,
                             const Range<T>& range) {
  std::vector<T> numbers;
  for (bool more = true; more;) {
    const size_t comma = text.find(',');
    more = comma != std::string_view::npos;
    std::string_view item = text.substr(0, comma);
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ') || item.ends_with('\n')) item.remove_suffix(1);
    numbers.push_back(
        parse_number(fmt::format("{}: item {}", option, numbers.size() + 1), item, range));
    if (more) text.remove_prefix(comma + 1);
  }
  return numbers;
}

}  // namespace orthrus::cli
