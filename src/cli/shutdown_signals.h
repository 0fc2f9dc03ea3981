// SIGTERM, SIGINT and SIGHUP of a process that serves: they are asked for, and interrupt nothing.
#pragma once

#include <chrono>
#include <csignal>

namespace orthrus::cli {

// While one lives, the signals wait until they are taken; threads that are made meanwhile leave
// them alone. One that was ignored when the process began, as SIGHUP under nohup, stays ignored.
class ShutdownSignals {
 public:
  ShutdownSignals();
  ~ShutdownSignals();
  ShutdownSignals(const ShutdownSignals&) = delete;
  ShutdownSignals& operator=(const ShutdownSignals&) = delete;

  // The next one, or 0 when none has come in this time.
  int take(std::chrono::milliseconds patience) const;

 private:
  sigset_t signals_;
  sigset_t before_;
};

}  // namespace orthrus::cli
