// Standard output and standard error.
#pragma once

#include <string_view>

namespace orthrus::cli {

// Standard output. Text is handed on at once, so that it streams; a reader who is slow is waited
// for. After a failure (a full disk, a reader that has gone) nothing more is written.
class Output {
 public:
  bool write(std::string_view text);  // false after a failure
  bool failed() const { return error_ != 0; }

  // The exit code of a command that would end with `code`: failure, told on standard error, when
  // not everything was written. That the reader has gone is not worth a message.
  int finish(int code) const;

 private:
  int error_ = 0;  // an errno
};

// Writes to standard error as it is; a failure there can be told to nobody.
void write_error_stream(std::string_view text);

// "orthrus: message", and a newline; control characters are escaped, and far too long text is cut.
void print_error(std::string_view message);

}  // namespace orthrus::cli
