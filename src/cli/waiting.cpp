#include "cli/waiting.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace orthrus::cli {
namespace {

// Whether to try again after an error. Another process may have set O_NONBLOCK on a terminal or a
// pipe that it shares with this one.
bool try_again(int file, short event) {
  if (errno == EINTR) return true;
  if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
  pollfd waited{file, event, 0};
  return poll(&waited, 1, -1) >= 0 || errno == EINTR;
}

}  // namespace

ptrdiff_t read_some(int file, char* to, size_t size) {
  while (true) {
    const ssize_t count = ::read(file, to, size);
    if (count >= 0 || !try_again(file, POLLIN)) return count;
  }
}

int write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(file, text.data(), text.size());
    if (count >= 0) {
      text.remove_prefix(static_cast<size_t>(count));
    } else if (!try_again(file, POLLOUT)) {
      return errno;
    }
  }
  return 0;
}

}  // namespace orthrus::cli
