// What a person does at a terminal in raw mode: characters, and signals in their order.
#pragma once

#include <array>
#include <chrono>
#include <csignal>
#include <string>
#include <vector>

namespace orthrus::cli {

// While one lives, SIGINT, SIGTERM, SIGHUP, SIGWINCH and SIGCONT are events; of the first three
// only where they were not ignored before. One at a time.
class TerminalSignals {
 public:
  TerminalSignals();
  ~TerminalSignals();
  TerminalSignals(const TerminalSignals&) = delete;
  TerminalSignals& operator=(const TerminalSignals&) = delete;

  int descriptor() const { return pipe_[0]; }  // readable when there is one
  int next();                                  // its number; 0 when there is none

 private:
  static constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGCONT};
  std::array<int, 2> pipe_{-1, -1};
  std::array<struct sigaction, kSignals.size()> previous_{};
};

class TerminalInput {
 public:
  struct Event {
    enum class Kind { kCharacter, kSignal, kEnd, kTimeout };
    Kind kind;
    char32_t character = 0;  // U+FFFD for bytes that are not UTF-8
    int signal = 0;
  };
  static constexpr std::chrono::milliseconds kForever{-1};

  // Reads from this terminal, which stays the caller's.
  explicit TerminalInput(int terminal) : terminal_(terminal) {}

  // Waits for the next event, a signal first. `signals` may be null: then only characters.
  Event next(TerminalSignals* signals, std::chrono::milliseconds most = kForever);

 private:
  bool has_character() const;

  int terminal_;
  std::string bytes_;  // read and not yet given
};

}  // namespace orthrus::cli
