// Where a terminal puts what is written to it.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace orthrus::cli {

// From UTF-8, U+FFFD for bytes that are not; and back.
std::wstring to_wide(std::string_view text);
std::string to_narrow(std::wstring_view wide);

struct ScreenSize {
  int columns = 80, rows = 24;
};

// 80 columns and 24 rows where it does not say.
ScreenSize size_of(FILE* terminal);

struct ScreenPlace {
  int row = 0, column = 0;  // `column` may be the number of columns: the next character wraps
};

// Where `text` ends, as a terminal of `columns` wraps it. Widths are those of the C library's
// locale.
ScreenPlace end_of(std::wstring_view text, int columns);

}  // namespace orthrus::cli
