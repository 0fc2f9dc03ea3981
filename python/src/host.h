// The engine that Python's objects share.
#pragma once

#include <memory>
#include <mutex>

#include "orthrus/async_engine.h"

namespace orthrus::python {

// Holds an AsyncEngine until it is closed. Its thread never takes the GIL, so that passes wait for
// no Python code, and the interpreter may end at any time.
class Host {
 public:
  explicit Host(Engine engine);
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  // Throws Error: kUsage once it was closed, and as check_process().
  std::shared_ptr<AsyncEngine> engine() const;
  // Throws Error(kSystem) in a process that was forked since, where the engine's thread is not.
  void check_process() const;
  bool closed() const;

  // Cancels what is not done, and gives the memory back. Call it without the GIL: it waits for the
  // pass that runs.
  void close();

  // The same of all that there are, also of those that only a stream still has: no pass may run
  // while the process is taken down.
  static void close_all();

 private:
  const unsigned process_;
  mutable std::mutex mutex_;
  std::shared_ptr<AsyncEngine> engine_;
};

}  // namespace orthrus::python
