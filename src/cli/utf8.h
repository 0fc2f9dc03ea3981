// UTF-8 as people type and send it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace orthrus::cli {

// Takes the first character off `text`, which is not empty. Nothing, and one byte is taken off,
// where no character of UTF-8 starts: surrogates, overlong forms and what is cut short are none.
std::optional<char32_t> take_character(std::string_view& text);

// How many bytes a character has whose first byte this is; 1 where none starts with it.
size_t utf8_length(unsigned char first);

// `character` is at most U+10FFFF.
std::string to_utf8(char32_t character);

// Throws Error(kUsage), naming `what` and the byte, when `text` is not UTF-8.
void check_utf8(std::string_view what, std::string_view text);

}  // namespace orthrus::cli
