// Which process this is, for what does not outlive a fork: threads, and a device's context.
#pragma once

#include <pthread.h>

#include <atomic>

namespace orthrus {

// Another number in a process that was forked since the first call.
inline unsigned process_number() {
  static std::atomic<unsigned> forks = 0;
  [[maybe_unused]] static const int registered =
      pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1, std::memory_order_relaxed); });
  return forks.load(std::memory_order_relaxed);
}

}  // namespace orthrus
