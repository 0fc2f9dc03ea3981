#include "files/display.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>

namespace orthrus {
namespace {

constexpr size_t kMostListed = 8;

bool prints_as_itself(utf8proc_int32_t code_point) {
  switch (utf8proc_category(code_point)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:  // among them the marks that turn the direction of text
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    default:
      return true;
  }
}

}  // namespace

std::string printable(std::string_view text, size_t limit) {
  std::string result;
  while (!text.empty()) {
    if (result.size() >= limit) return result + "...";
    utf8proc_int32_t code_point = 0;
    const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
    const auto available = static_cast<utf8proc_ssize_t>(std::min<size_t>(text.size(), 4));
    const auto length = utf8proc_iterate(bytes, available, &code_point);
    const auto character = text.substr(0, length > 0 ? static_cast<size_t>(length) : 1);
    if (length > 0 && prints_as_itself(code_point)) {
      result += character;
    } else {
      for (const char byte : character) {
        result += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
      }
    }
    text.remove_prefix(character.size());
  }
  return result;
}

std::string in_quotes(std::string_view text) {
  return '"' + printable(text) + '"';
}

std::string shown(const std::filesystem::path& path) {
  return printable(path.string(), std::string::npos);
}

std::string list_in_quotes(std::span<const std::string> names) {
  std::string result;
  for (const std::string& name : names.first(std::min(names.size(), kMostListed))) {
    if (!result.empty()) result += ", ";
    result += in_quotes(name);
  }
  if (names.size() > kMostListed) result += fmt::format(" and {} more", names.size() - kMostListed);
  return result;
}

}  // namespace orthrus
