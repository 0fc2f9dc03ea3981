#include "cli/run_orthrus.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <stdexcept>

namespace orthrus::test {
namespace {

constexpr auto kMostTime = std::chrono::minutes(2);

void do_not_wait(int file) {
  fcntl(file, F_SETPIPE_SZ, 4096);
  fcntl(file, F_SETFL, fcntl(file, F_GETFL) | O_NONBLOCK);
}

[[noreturn]] void execute(const std::vector<std::string>& arguments, const RunOptions& options) {
  setenv("TERM", "xterm", 1);
  unsetenv("NO_COLOR");
  signal(SIGPIPE, SIG_DFL);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) signal(number, SIG_DFL);
  for (const int number : options.ignored_signals) signal(number, SIG_IGN);
  if (options.no_file_may_grow) {
    constexpr rlimit kNothing{0, 0};
    setrlimit(RLIMIT_FSIZE, &kNothing);
  }
  std::vector<char*> argv{const_cast<char*>(ORTHRUS_BINARY)};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  execv(argv[0], argv.data());
  _exit(127);
}

struct Pipe {
  Pipe() {
    if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("There is no pipe.");
  }
  std::array<int, 2> ends{};
  int read_end() const { return ends[0]; }
  int write_end() const { return ends[1]; }
};

// The parent's side of a running orthrus.
class Conversation {
 public:
  Conversation(pid_t pid, const RunOptions& options) : pid_(pid), options_(options) {}

  // `in` is written to, `out` and `err` are read; -1 for none. Closes all but `in == out`.
  ProcessResult hold(int in, int out, int err) {
    const auto deadline = std::chrono::steady_clock::now() + kMostTime;
    const bool terminal = in == out;
    if (options_.input.empty() && !terminal) close_end(in);
    size_t written = 0;
    while (out >= 0 || err >= 0) {
      if (std::chrono::steady_clock::now() > deadline) give_up();
      const bool more_input = in >= 0 && written < options_.input.size();
      std::array<pollfd, 3> polled = {pollfd{out, POLLIN, 0}, pollfd{err, POLLIN, 0},
                                      pollfd{more_input ? in : -1, POLLOUT, 0}};
      if (poll(polled.data(), polled.size(), 1000) < 0) give_up();
      if (polled[2].revents != 0) {
        const std::string_view rest = std::string_view(options_.input).substr(written);
        const ssize_t count = write(in, rest.data(), std::min<size_t>(rest.size(), 512));
        written = count < 0 ? options_.input.size() : written + static_cast<size_t>(count);
        if (written == options_.input.size() && !terminal) close_end(in);
      }
      if (polled[0].revents != 0 && !read_some(out, result_.out)) close_end(out);
      if (polled[1].revents != 0 && !read_some(err, result_.err)) close_end(err);
      if (!result_.out.empty()) at_first_output(out);
    }
    if (in >= 0 && !terminal) close_end(in);
    int status = 0;
    waitpid(pid_, &status, 0);
    result_.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return std::move(result_);
  }

 private:
  static void close_end(int& end) {
    close(end);
    end = -1;
  }

  static bool read_some(int file, std::string& text) {
    std::array<char, 4096> buffer;
    const ssize_t count = read(file, buffer.data(), buffer.size());
    if (count > 0) text.append(buffer.data(), static_cast<size_t>(count));
    return count > 0;
  }

  void at_first_output(int& out) {
    if (seen_output_) return;
    seen_output_ = true;
    if (options_.interrupt_at_first_output) kill(pid_, SIGINT);
    if (options_.signal_at_first_output != 0) kill(pid_, options_.signal_at_first_output);
    if (options_.close_at_first_output) close_end(out);
  }

  [[noreturn]] void give_up() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    throw std::runtime_error("orthrus has not ended; so far it wrote: " + result_.out +
                             result_.err);
  }

  pid_t pid_;
  const RunOptions& options_;
  ProcessResult result_;
  bool seen_output_ = false;
};

}  // namespace

ProcessResult run_orthrus(const std::vector<std::string>& arguments, const RunOptions& options) {
  signal(SIGPIPE, SIG_IGN);  // it may end before it has read all its input
  const Pipe in, out, err;
  const pid_t pid = fork();
  if (pid < 0) throw std::runtime_error("There is no process.");
  if (pid == 0) {
    dup2(in.read_end(), STDIN_FILENO);
    const int file = open(options.output_file.c_str(), O_WRONLY | O_CLOEXEC);
    dup2(options.output_file.empty() ? out.write_end() : file, STDOUT_FILENO);
    dup2(err.write_end(), STDERR_FILENO);
    if (options.non_blocking) {
      for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) do_not_wait(stream);
    }
    execute(arguments, options);
  }
  for (const int end : {in.read_end(), out.write_end(), err.write_end()}) close(end);
  return Conversation(pid, options).hold(in.write_end(), out.read_end(), err.read_end());
}

ProcessResult run_in_terminal(const std::vector<std::string>& arguments,
                              const RunOptions& options) {
  int terminal = -1;
  const pid_t pid = forkpty(&terminal, nullptr, nullptr, nullptr);
  if (pid < 0) throw std::runtime_error("There is no terminal.");
  if (pid == 0) execute(arguments, options);
  ProcessResult result = Conversation(pid, options).hold(terminal, terminal, -1);
  std::erase(result.out, '\r');
  return result;
}

nlohmann::json run_for_json(std::vector<std::string> arguments) {
  arguments.push_back("--json");
  const ProcessResult result = run_orthrus(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 1) << result.out;
  return nlohmann::json::parse(result.out);
}

}  // namespace orthrus::test
