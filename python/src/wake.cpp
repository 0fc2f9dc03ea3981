#include "wake.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "orthrus/error.h"

namespace orthrus::python {

Waker::Waker() {
  int ends[2];
  if (pipe(ends) != 0) {
    throw Error(ErrorKind::kSystem,
                std::string("The system gives no pipe to an event loop: ") + std::strerror(errno));
  }
  for (const int end : ends) {
    fcntl(end, F_SETFL, O_NONBLOCK);
    fcntl(end, F_SETFD, FD_CLOEXEC);
  }
  read_end_ = ends[0];
  write_end_ = ends[1];
}

Waker::~Waker() {
  close(read_end_);
  close(write_end_);
}

void Waker::post(uint64_t key) {
  const std::lock_guard lock(mutex_);
  keys_.push_back(key);
  // One byte, however many keys wait: the reader takes them all.
  if (keys_.size() > 1) return;
  const char byte = 0;
  while (write(write_end_, &byte, 1) < 0 && errno == EINTR) {
  }
}

std::vector<uint64_t> Waker::take() {
  const std::lock_guard lock(mutex_);
  char bytes[16];
  while (read(read_end_, bytes, sizeof bytes) > 0) {
  }
  return std::exchange(keys_, {});
}

}  // namespace orthrus::python
