#include "cli/text.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "cli/utf8.h"

namespace orthrus::cli {

namespace {

// The bytes of the character of UTF-8 that `text` begins with; 0 where none begins.
size_t character_size(std::string_view text) {
  std::string_view rest = text;
  return take_character(rest) ? text.size() - rest.size() : 0;
}

bool is_control(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return first < 0x20 || first == 0x7f;
  return first == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0;  // U+0080 to U+009F
}

std::string hexadecimal(char byte) {
  return fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\r\n";
  text.remove_prefix(std::min(text.find_first_not_of(kSpaces), text.size()));
  return text.substr(0, text.find_last_not_of(kSpaces) + 1);
}

std::string without_controls(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const size_t size = character_size(text.substr(i));
    const std::string_view character = text.substr(i, std::max<size_t>(size, 1));
    const bool is_layout = character == "\n" || character == "\t" || text.substr(i, 2) == "\r\n";
    if (size == 0 || (is_control(character) && !is_layout)) {
      result += hexadecimal(character.back());
    } else {
      result += character;
    }
    i += character.size();
  }
  return result;
}

std::string escaped(std::string_view bytes) {
  std::string result;
  for (const char c : bytes) {
    if (c == '\n') {
      result += "\\n";
    } else if (c == '\t') {
      result += "\\t";
    } else if (c == '\r') {
      result += "\\r";
    } else if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (c < 0x20 || c >= 0x7f) {
      result += hexadecimal(c);
    } else {
      result += c;
    }
  }
  return result;
}

std::string in_quotes(std::string_view text) {
  constexpr size_t kMost = 60;
  std::string result = "\"";
  size_t i = 0;
  while (i < text.size() && i < kMost) {
    const size_t size = character_size(text.substr(i));
    const std::string_view character = text.substr(i, std::max<size_t>(size, 1));
    result += size > 1 && !is_control(character) ? std::string(character) : escaped(character);
    i += character.size();
  }
  return result + (i < text.size() ? "\"..." : "\"");
}

std::string as_typed(std::string_view name) {
  const bool is_plain =
      !name.empty() && name.size() <= 60 &&
      std::all_of(name.begin(), name.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  return is_plain ? std::string(name) : in_quotes(name);
}

std::string with_commas(int64_t number) {
  std::string digits = std::to_string(number);
  const size_t first = number < 0 ? 1 : 0;
  for (size_t i = digits.size(); i > first + 3;) {
    i -= 3;
    digits.insert(i, 1, ',');
  }
  return digits;
}

std::string bytes_in_words(int64_t bytes) {
  constexpr std::array kUnits = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace orthrus::cli
