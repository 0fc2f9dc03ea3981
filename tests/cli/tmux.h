// A terminal with orthrus in it, driven as a person would: by tmux, which also draws.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace orthrus::test {

class Tmux {
 public:
  struct Size {
    int columns = 80, rows = 24;
  };

  // Runs orthrus with these arguments. `environment` holds NAME=VALUE. Throws std::runtime_error
  // when tmux cannot be run.
  explicit Tmux(const std::vector<std::string>& arguments,
                const std::vector<std::string>& environment = {}, Size size = {80, 24});
  ~Tmux();
  Tmux(const Tmux&) = delete;
  Tmux& operator=(const Tmux&) = delete;

  void type(const std::string& text);  // as it is, without Enter
  void press(const std::string& key);  // "Enter", "Left", "C-c"
  void enter(const std::string& line) {
    type(line);
    press("Enter");
  }
  void paste(const std::string& text);  // bracketed where the terminal was asked for it
  void resize(Size size);

  // What is on the screen, without the spaces at the ends of lines and empty lines at the end.
  // Lines that the terminal wrapped are one; in rows() they are as many as they are drawn in.
  std::string screen();
  std::string rows();

  // Waits for `what`. Throws std::runtime_error with the screen after two minutes.
  void wait(const std::function<bool()>& condition, const std::string& what);

  // Waits until the screen contains, or ends with, this.
  void wait_for(const std::string& text);
  void wait_for_end(const std::string& text);
  void wait_for_rows(const std::string& text);  // at the end of rows()

  // Waits until orthrus has ended; its exit code.
  int exit_code();

 private:
  static std::string without_spaces(const std::string& text);
  std::string run(std::vector<std::string> command, const std::string& input = "");

  std::string socket_;
};

}  // namespace orthrus::test
