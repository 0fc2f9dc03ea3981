#include "cli/tmux.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <thread>

namespace orthrus::test {
namespace {

constexpr auto kMostTime = std::chrono::minutes(2);
constexpr const char* kEnded = "orthrus-exit-code=";
constexpr auto kBetweenLooks = std::chrono::milliseconds(20);

std::string quoted(const std::string& word) {
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? "'\\''" : std::string(1, c);
  return text + "'";
}

}  // namespace

Tmux::Tmux(const std::vector<std::string>& arguments, const std::vector<std::string>& environment,
           Size size) {
  static int number = 0;
  socket_ = "orthrus-test-" + std::to_string(getpid()) + "-" + std::to_string(++number);
  // tmux itself does not always learn how a process ended.
  std::string command = "trap : INT; env LC_ALL=C";
  for (const std::string& variable : environment) command += fmt::format(" {}", quoted(variable));
  command += fmt::format(" {}", quoted(ORTHRUS_BINARY));
  for (const std::string& argument : arguments) command += fmt::format(" {}", quoted(argument));
  command += fmt::format("; code=$?; echo; echo {}$code; exec cat", kEnded);
  run({"start-server", ";", "set-option", "-g", "default-terminal", "screen", ";", "new-session",
       "-d", "-x", std::to_string(size.columns), "-y", std::to_string(size.rows), command});
}

Tmux::~Tmux() {
  try {
    run({"kill-server"});
  } catch (const std::exception&) {
    // It has ended by itself.
  }
}

void Tmux::type(const std::string& text) {
  run({"send-keys", "-l", "--", text});
}

void Tmux::press(const std::string& key) {
  run({"send-keys", key});
}

void Tmux::paste(const std::string& text) {
  run({"load-buffer", "-"}, text);
  run({"paste-buffer", "-p"});
}

void Tmux::resize(Size size) {
  run({"resize-window", "-x", std::to_string(size.columns), "-y", std::to_string(size.rows)});
}

std::string Tmux::without_spaces(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '\n') result.erase(result.find_last_not_of(' ') + 1);
    result += c;
  }
  result.erase(result.find_last_not_of(" \n") + 1);
  return result;
}

std::string Tmux::screen() {
  return without_spaces(run({"capture-pane", "-p", "-J"}));
}

std::string Tmux::rows() {
  return without_spaces(run({"capture-pane", "-p"}));
}

void Tmux::wait(const std::function<bool()>& condition, const std::string& what) {
  const auto deadline = std::chrono::steady_clock::now() + kMostTime;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) {
      throw std::runtime_error("There is still no " + what + " on the screen:\n" + screen());
    }
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

void Tmux::wait_for(const std::string& text) {
  wait([&] { return screen().find(text) != std::string::npos; }, text);
}

void Tmux::wait_for_end(const std::string& text) {
  wait([&] { return screen().ends_with(text); }, text + " at the end");
}

void Tmux::wait_for_rows(const std::string& text) {
  wait([&] { return rows().ends_with(text); }, text + " at the end, in rows");
}

int Tmux::exit_code() {
  wait_for(std::string("\n") + kEnded);
  const std::string text = screen();
  return std::stoi(text.substr(text.rfind(kEnded) + std::strlen(kEnded)));
}

std::string Tmux::run(std::vector<std::string> command, const std::string& input) {
  command.insert(command.begin(), {"tmux", "-u", "-L", socket_, "-f", "/dev/null"});
  std::array<int, 2> in{}, out{};
  if (pipe2(in.data(), O_CLOEXEC) != 0 || pipe2(out.data(), O_CLOEXEC) != 0) {
    throw std::runtime_error("There is no pipe.");
  }
  const pid_t pid = fork();
  if (pid < 0) throw std::runtime_error("There is no process.");
  if (pid == 0) {
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    unsetenv("TMUX");
    std::vector<char*> argv;
    for (std::string& word : command) argv.push_back(word.data());
    argv.push_back(nullptr);
    execvp(argv[0], argv.data());
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  // What is written fits a pipe.
  const ssize_t written = write(in[1], input.data(), input.size());
  close(in[1]);
  std::string text;
  std::array<char, 4096> buffer;
  for (ssize_t count; (count = read(out[0], buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<size_t>(count));
  }
  close(out[0]);
  int status = 0;
  waitpid(pid, &status, 0);
  if (status != 0 || written != static_cast<ssize_t>(input.size())) {
    throw std::runtime_error("tmux failed: " + command[6] + " " + text);
  }
  return text;
}

}  // namespace orthrus::test
