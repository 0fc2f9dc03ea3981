#include "cli/chat/quiet_terminal.h"

#include <unistd.h>

namespace orthrus::cli {

QuietTerminal::QuietTerminal() {
  if (tcgetattr(STDIN_FILENO, &before_) != 0) return;
  termios quiet = before_;
  quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON);
  // Enter stays what it is in raw mode.
  quiet.c_iflag &= ~static_cast<tcflag_t>(ICRNL | INLCR);
  quiet.c_cc[VMIN] = 1;
  quiet.c_cc[VTIME] = 0;
  changed_ = tcsetattr(STDIN_FILENO, TCSADRAIN, &quiet) == 0;
}

QuietTerminal::~QuietTerminal() {
  if (changed_) tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
}

}  // namespace orthrus::cli
