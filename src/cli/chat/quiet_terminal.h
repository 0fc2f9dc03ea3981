// A terminal on which what is typed does not show.
#pragma once

#include <termios.h>

namespace orthrus::cli {

// While one lives, what is typed at standard input waits for whoever reads next, of any length, and
// is not drawn into a reply. Ctrl-C and Ctrl-Z do what they do. Nothing happens where standard
// input is no terminal.
class QuietTerminal {
 public:
  QuietTerminal();
  ~QuietTerminal();
  QuietTerminal(const QuietTerminal&) = delete;
  QuietTerminal& operator=(const QuietTerminal&) = delete;

 private:
  bool changed_ = false;
  termios before_{};
};

}  // namespace orthrus::cli
