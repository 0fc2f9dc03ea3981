// UTF-8: characters one at a time, and what stands for bytes that are none.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace orthrus {

struct Utf8Character {
  enum class Kind {
    kWhole,   // a character
    kBroken,  // no character starts with these bytes: the longest start of one, or a stray byte
    kCut,     // the text ends within a character that more bytes may complete
  };
  Kind kind;
  size_t length;  // in bytes, at least 1
  char32_t code_point = 0;
};

// What stands at the start of `text`, which must not be empty.
Utf8Character first_character(std::string_view text);

void append_utf8(std::string& text, char32_t code_point);

// The position of the first byte that is not part of a character.
std::optional<size_t> find_invalid_utf8(std::string_view text);

// Appends `bytes` to `text` with one U+FFFD for every Kind::kBroken, as Python's errors="replace"
// and the Unicode standard have it. Returns how many bytes at the end were not appended, because
// they are Kind::kCut: 0 to 3.
size_t append_replacing_invalid(std::string& text, std::string_view bytes);

inline constexpr std::string_view kReplacementCharacter = "\xef\xbf\xbd";

}  // namespace orthrus
