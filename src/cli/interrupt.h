// Ctrl-C: the first asks for an orderly end, the second ends the process.
#pragma once

#include <csignal>

namespace orthrus::cli {

// While one lives, the first SIGINT only sets a flag. One at a time.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  bool requested() const;

 private:
  struct sigaction previous_ {};
};

}  // namespace orthrus::cli
