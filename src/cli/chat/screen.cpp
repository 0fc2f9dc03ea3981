#include "cli/chat/screen.h"

#include <sys/ioctl.h>

#include <algorithm>
#include <cwchar>

#include "cli/utf8.h"

namespace orthrus::cli {

std::wstring to_wide(std::string_view text) {
  std::wstring wide;
  while (!text.empty()) wide += static_cast<wchar_t>(take_character(text).value_or(0xfffd));
  return wide;
}

std::string to_narrow(std::wstring_view wide) {
  std::string text;
  for (const wchar_t c : wide) text += to_utf8(static_cast<char32_t>(c));
  return text;
}

ScreenSize size_of(FILE* terminal) {
  winsize size{};
  const bool known = ::ioctl(fileno(terminal), TIOCGWINSZ, &size) == 0;
  if (!known || size.ws_col == 0 || size.ws_row == 0) return {};
  return {size.ws_col, size.ws_row};
}

ScreenPlace end_of(std::wstring_view text, int columns) {
  ScreenPlace place;
  for (const wchar_t c : text) {
    if (c == L'\n') {
      place = {place.row + 1, 0};
      continue;
    }
    // Control characters are drawn as ^X, tabs up to the next multiple of eight.
    const int width = c == L'\t' ? 8 - place.column % 8 : c < 32 ? 2 : std::max(wcwidth(c), 0);
    if (place.column + width > columns) place = {place.row + 1, 0};
    place.column += width;
  }
  return place;
}

}  // namespace orthrus::cli
