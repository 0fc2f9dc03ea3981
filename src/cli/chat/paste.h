// Bracketed paste: a terminal that is asked to says where pasted text begins and ends, so that its
// newlines are not taken for Enter.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "cli/chat/terminal_input.h"

namespace orthrus::cli {

constexpr std::string_view kBracketPastes = "\x1b[?2004h";
constexpr std::string_view kPlainPastes = "\x1b[?2004l";
constexpr std::string_view kPasteBegins = "\x1b[200~";
constexpr std::string_view kPasteEnds = "\x1b[201~";

struct Paste {
  std::string text;       // UTF-8; each end of a line is a newline
  bool too_long = false;  // the text is empty then
};

struct PasteLimits {
  size_t bytes = size_t{1} << 20;         // most that is kept
  size_t dropped = size_t{64} << 20;      // beyond them, most that is waited for
  std::chrono::milliseconds pause{3000};  // a longer one ends a paste whose end got lost
};

// Reads what follows kPasteBegins, its end included.
Paste read_paste(TerminalInput& input, const PasteLimits& limits = {});

}  // namespace orthrus::cli
