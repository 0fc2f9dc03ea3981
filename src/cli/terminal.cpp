#include "cli/terminal.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdlib>

#include "cli/output.h"

namespace orthrus::cli {
namespace {

constexpr auto kMoment = std::chrono::milliseconds(300);
constexpr auto kBetweenDrawings = std::chrono::milliseconds(100);

std::string_view environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool understands_escapes() {
  return environment("TERM") != "dumb";
}

}  // namespace

bool standard_input_is_terminal() {
  return isatty(STDIN_FILENO) != 0;
}

bool standard_error_is_terminal() {
  return isatty(STDERR_FILENO) != 0;
}

Style style_of_output(ColorChoice choice) {
  Style style;
  style.terminal = isatty(STDOUT_FILENO) != 0;
  style.color =
      choice == ColorChoice::kAlways || (choice == ColorChoice::kAuto && style.terminal &&
                                         understands_escapes() && environment("NO_COLOR").empty());
  return style;
}

Progress::Progress(std::string label)
    : label_(std::move(label)),
      enabled_(standard_error_is_terminal() && understands_escapes()),
      next_(Clock::now() + kMoment) {}

void Progress::update(double done, double total) {
  if (!enabled_ || Clock::now() < next_) return;
  write_error_stream(fmt::format("\r\x1b[K{}: {:.0f} %", label_, 100 * done / total));
  visible_ = true;
  next_ = Clock::now() + kBetweenDrawings;
}

void Progress::erase() {
  if (visible_) write_error_stream("\r\x1b[K");
  visible_ = false;
}

}  // namespace orthrus::cli
