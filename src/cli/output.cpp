#include "cli/output.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "cli/exit_code.h"
#include "cli/text.h"
#include "cli/waiting.h"

namespace orthrus::cli {

bool Output::write(std::string_view text) {
  if (!failed()) error_ = write_all(STDOUT_FILENO, text);
  return !failed();
}

int Output::finish(int code) const {
  if (!failed()) return code;
  if (error_ != EPIPE) {
    print_error(fmt::format("Cannot write to standard output: {}.",
                            std::generic_category().message(error_)));
  }
  return kFailure;
}

void write_error_stream(std::string_view text) {
  write_all(STDERR_FILENO, text);
}

void print_error(std::string_view message) {
  constexpr size_t kMost = 2000;
  write_error_stream(fmt::format("orthrus: {}{}\n", without_controls(message.substr(0, kMost)),
                                 message.size() > kMost ? "..." : ""));
}

}  // namespace orthrus::cli
