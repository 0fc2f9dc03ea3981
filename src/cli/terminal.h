// Colours, and a line of progress.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace orthrus::cli {

bool standard_input_is_terminal();
bool standard_error_is_terminal();

enum class ColorChoice { kAuto, kAlways, kNever };

// How standard output is to look.
struct Style {
  bool terminal = false;  // a person reads it: control characters are escaped, lines are ended
  bool color = false;
};
Style style_of_output(ColorChoice choice);

constexpr std::string_view kDim = "\x1b[2m";
constexpr std::string_view kBold = "\x1b[1m";
constexpr std::string_view kCyan = "\x1b[36m";
constexpr std::string_view kYellow = "\x1b[33m";
constexpr std::string_view kReset = "\x1b[0m";

// One line on standard error, when that is a terminal, for what takes longer than a moment.
class Progress {
 public:
  explicit Progress(std::string label);
  ~Progress() { erase(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(double done, double total);
  void erase();  // leaves nothing of it on the terminal

 private:
  using Clock = std::chrono::steady_clock;

  std::string label_;
  bool enabled_;
  bool visible_ = false;
  Clock::time_point next_;  // when the line may be drawn
};

}  // namespace orthrus::cli
