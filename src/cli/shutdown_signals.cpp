#include "cli/shutdown_signals.h"

#include <algorithm>

namespace orthrus::cli {

ShutdownSignals::ShutdownSignals() {
  sigemptyset(&signals_);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals_, signal);
  pthread_sigmask(SIG_BLOCK, &signals_, &before_);
}

ShutdownSignals::~ShutdownSignals() {
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

int ShutdownSignals::take(std::chrono::milliseconds patience) const {
  const timespec time{.tv_sec = patience.count() / 1000,
                      .tv_nsec = patience.count() % 1000 * 1'000'000};
  return std::max(0, sigtimedwait(&signals_, nullptr, &time));
}

}  // namespace orthrus::cli
