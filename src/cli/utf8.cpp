#include "cli/utf8.h"

#include <fmt/core.h>

#include "orthrus/error.h"

namespace orthrus::cli {

size_t utf8_length(unsigned char first) {
  if (first >= 0xc2 && first < 0xe0) return 2;
  if (first >= 0xe0 && first < 0xf0) return 3;
  if (first >= 0xf0 && first < 0xf5) return 4;
  return 1;
}

std::optional<char32_t> take_character(std::string_view& text) {
  const auto byte = [&text](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  const size_t length = utf8_length(first);
  if (length == 1 || length > text.size()) {
    text.remove_prefix(1);
    if (first < 0x80) return first;
    return std::nullopt;
  }
  char32_t character = first & (0xffu >> (length + 1));
  bool valid = true;
  for (size_t i = 1; i < length; ++i) {
    valid = valid && (byte(i) & 0xc0) == 0x80;
    character = character << 6 | (byte(i) & 0x3fu);
  }
  const bool overlong = (length == 3 && character < 0x800) || (length == 4 && character < 0x10000);
  const bool surrogate = character >= 0xd800 && character < 0xe000;
  if (!valid || overlong || surrogate || character > 0x10ffff) {
    text.remove_prefix(1);
    return std::nullopt;
  }
  text.remove_prefix(length);
  return character;
}

std::string to_utf8(char32_t character) {
  const auto tail = [character](int shift) {
    return static_cast<char>(0x80 | (character >> shift & 0x3f));
  };
  if (character < 0x80) return {static_cast<char>(character)};
  if (character < 0x800) return {static_cast<char>(0xc0 | character >> 6), tail(0)};
  if (character < 0x10000) {
    return {static_cast<char>(0xe0 | character >> 12), tail(6), tail(0)};
  }
  return {static_cast<char>(0xf0 | character >> 18), tail(12), tail(6), tail(0)};
}

void check_utf8(std::string_view what, std::string_view text) {
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t at = text.size() - rest.size();
    if (take_character(rest)) continue;
    throw Error(ErrorKind::kUsage,
                fmt::format("{} is not valid UTF-8: no character starts at byte {} (0x{:02x}).",
                            what, at, static_cast<unsigned char>(text[at])));
  }
}

}  // namespace orthrus::cli
