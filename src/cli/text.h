// Text for people: escaped, shortened, with units.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/counted.h"

namespace orthrus::cli {

// `text` without the spaces, tabs and ends of lines around it.
std::string_view trimmed(std::string_view text);

// `text` with what could drive a terminal written as \xNN: the control characters of ASCII but for
// newline, tab and the return before a newline, those of Latin-1, and bytes that are not UTF-8.
std::string without_controls(std::string_view text);

// All of `bytes` in printable ASCII, as in a C string literal.
std::string escaped(std::string_view bytes);

// `text` on one line, without controls, in double quotes, cut after about 60 bytes.
std::string in_quotes(std::string_view text);

// A name as a person typed it, in quotes where it is not printable ASCII without spaces.
std::string as_typed(std::string_view name);

std::string with_commas(int64_t number);    // 1,234,567
std::string bytes_in_words(int64_t bytes);  // 46.4 MiB

}  // namespace orthrus::cli
