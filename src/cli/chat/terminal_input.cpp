#include "cli/chat/terminal_input.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string_view>
#include <system_error>

#include "cli/utf8.h"

namespace orthrus::cli {
namespace {

// A signal handler can reach nothing but a global.
std::atomic<int> signal_pipe = -1;
static_assert(std::atomic<int>::is_always_lock_free);

// Whichever thread the signal reaches, the pipe wakes the one that waits.
void note(int signal) {
  const int saved = errno;
  const auto byte = static_cast<unsigned char>(signal);
  [[maybe_unused]] const ssize_t written = ::write(signal_pipe, &byte, 1);
  errno = saved;
}

}  // namespace

TerminalSignals::TerminalSignals() {
  if (::pipe2(pipe_.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
    throw std::system_error(errno, std::generic_category(), "Cannot make a pipe");
  }
  signal_pipe = pipe_[1];
  struct sigaction action {};
  action.sa_handler = note;
  action.sa_flags = SA_RESTART;
  for (size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], nullptr, &previous_[i]);
    const bool ends = kSignals[i] != SIGWINCH && kSignals[i] != SIGCONT;
    if (ends && previous_[i].sa_handler == SIG_IGN) continue;
    sigaction(kSignals[i], &action, nullptr);
  }
}

TerminalSignals::~TerminalSignals() {
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &previous_[i], nullptr);
  signal_pipe = -1;
  for (const int end : pipe_) ::close(end);
}

int TerminalSignals::next() {
  unsigned char signal = 0;
  return ::read(pipe_[0], &signal, 1) == 1 ? signal : 0;
}

bool TerminalInput::has_character() const {
  return !bytes_.empty() && bytes_.size() >= utf8_length(static_cast<unsigned char>(bytes_[0]));
}

TerminalInput::Event TerminalInput::next(TerminalSignals* signals, std::chrono::milliseconds most) {
  using Kind = Event::Kind;
  while (true) {
    if (signals != nullptr) {
      if (const int signal = signals->next()) return {Kind::kSignal, 0, signal};
    }
    if (has_character()) {
      std::string_view rest = bytes_;
      const char32_t character = take_character(rest).value_or(0xfffd);
      bytes_.erase(0, bytes_.size() - rest.size());
      return {Kind::kCharacter, character, 0};
    }
    std::array<pollfd, 2> polled = {
        pollfd{terminal_, POLLIN, 0},
        pollfd{signals != nullptr ? signals->descriptor() : -1, POLLIN, 0}};
    const int ready = ::poll(polled.data(), polled.size(), static_cast<int>(most.count()));
    if (ready == 0) return {Kind::kTimeout, 0, 0};
    if (ready < 0 && errno != EINTR) return {Kind::kEnd, 0, 0};
    if (ready < 0 || polled[0].revents == 0) continue;
    std::array<char, 4096> buffer;
    const ssize_t count = ::read(terminal_, buffer.data(), buffer.size());
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count <= 0) return {Kind::kEnd, 0, 0};
    bytes_.append(buffer.data(), static_cast<size_t>(count));
  }
}

}  // namespace orthrus::cli
