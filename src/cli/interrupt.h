// Signals that ask for an end: the first asks for an orderly one, the second ends the process.
#pragma once

#include <csignal>

namespace orthrus::cli {

// While one lives, the first SIGINT (Ctrl-C), SIGTERM or SIGHUP only says that an end is wanted. A
// signal that was ignored when the process began, as SIGHUP under nohup, stays ignored. One at a
// time.
class Interrupt {
 public:
  enum class Again {
    kEndsProcess,
    kIsTheSame,  // where more than this run would be lost: of Ctrl-C, further ones say no more
  };
  explicit Interrupt(Again again = Again::kEndsProcess);
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  bool requested() const { return signal() != 0; }
  int signal() const;     // that came; 0: none
  int exit_code() const;  // after it, as a shell reports an end by it: 130 after SIGINT

 private:
  static constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};
  struct sigaction previous_[3]{};
};

}  // namespace orthrus::cli
