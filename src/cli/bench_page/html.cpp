#include "cli/bench_page/html.h"

#include <fmt/core.h>

#include "cli/utf8.h"

namespace orthrus::cli::bench_page {
namespace {

constexpr char32_t kReplacement = 0xfffd;

bool turns_direction(char32_t c) {
  return c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
         (c >= 0x2066 && c <= 0x2069);
}

std::string shown(char32_t c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\n':
    case '\t':
      return std::string(1, static_cast<char>(c));
    case 0x7f:
      return to_utf8(0x2421);
    default:
      break;
  }
  if (c < 0x20) return to_utf8(0x2400 + c);  // the picture of the control character
  if ((c >= 0x80 && c < 0xa0) || (c & 0xfffe) == 0xfffe) return to_utf8(kReplacement);
  if (turns_direction(c)) return fmt::format("[U+{:04X}]", static_cast<uint32_t>(c));
  return to_utf8(c);
}

}  // namespace

std::string html_text(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) text += shown(take_character(bytes).value_or(kReplacement));
  return text;
}

std::string html_text_cut(std::string_view bytes, size_t most) {
  if (bytes.size() <= most) return html_text(bytes);
  // Not within a character.
  while (most > 0 && (static_cast<unsigned char>(bytes[most]) & 0xc0) == 0x80) --most;
  return html_text(bytes.substr(0, most)) + "...";
}

}  // namespace orthrus::cli::bench_page
