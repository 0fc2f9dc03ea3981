// A line that a person types at a terminal: edited, with a history, of any length.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace orthrus::cli {

struct TypedLine {
  enum class End {
    kEntered,
    kInterrupted,  // Ctrl-C; `text` is what was typed
    kEndOfInput,   // Ctrl-D where nothing was typed, or the terminal has gone
    kTerminated,   // by `signal`
  };
  End end = End::kEntered;
  std::string text{};  // UTF-8 without the last newline; with those of a paste
  int signal = 0;      // of kTerminated: SIGTERM or SIGHUP
};

// Reads from standard input and draws on standard error, which must be terminals. Standard input is
// in raw mode only while a line is read.
class LineEditor {
 public:
  // Throws std::bad_alloc, or std::system_error for the lack of descriptors.
  LineEditor();
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  TypedLine read(const std::string& prompt);

  // The newest of the texts that the up arrow brings back; a long one as a mark that stands for it.
  void remember(const std::string& text);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace orthrus::cli
