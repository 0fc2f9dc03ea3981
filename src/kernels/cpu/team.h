// The threads that work on a pass together, and how they wait for each other.
//
// A pass of a small model is a hundred steps of some microseconds with a barrier after each, so
// waiting is by spinning; but a thread that has spun for long goes to sleep, since on a machine
// that others use too the one it waits for may be without a core.
#pragma once

#include <atomic>
#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace orthrus::cpu {

class Team {
 public:
  explicit Team(int size) : size_(size) {}

  int size() const { return size_; }

  // Some tens of microseconds, as long as a step of a pass may take.
  static constexpr int kSpins = 2000;

  // Returns when all threads of the team have called it as often as this one. Looks so many times
  // before it sleeps.
  void wait(int spins = kSpins) {
    if (size_ == 1) return;
    const unsigned phase = phase_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) == size_ - 1) {
      arrived_.store(0, std::memory_order_relaxed);
      // In order with what follows: notify_all looks whether anybody sleeps, and whoever goes to
      // sleep after that look must see this.
      phase_.store(phase + 1, std::memory_order_seq_cst);
      phase_.notify_all();
      return;
    }
    for (int i = 0; i < spins; ++i) {
      if (phase_.load(std::memory_order_acquire) != phase) return;
      relax();
    }
    phase_.wait(phase, std::memory_order_acquire);
  }

 private:
  static void relax() {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  const int size_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<unsigned> phase_{0};
};

// This thread's place in its team.
struct Member {
  Team* team = nullptr;  // none: it works alone
  int index = 0;

  int size() const { return team == nullptr ? 1 : team->size(); }
  void wait() const {
    if (team != nullptr) team->wait();
  }

  // This thread's share of 0..count-1 is a run of neighbours. Calls body(begin, end) with it if it
  // is not empty; then waits for all.
  template <typename Body>
  void share_run(int count, Body body) const {
    const int begin = part(count, index), end = part(count, index + 1);
    if (begin < end) body(begin, end);
    wait();
  }

  // The same one by one, body(i); and without the waiting.
  template <typename Body>
  void share(int count, Body body) const {
    share_without_waiting(count, body);
    wait();
  }
  template <typename Body>
  void share_without_waiting(int count, Body body) const {
    for (int i = part(count, index), end = part(count, index + 1); i < end; ++i) body(i);
  }

  // Every size()-th of them, where neighbours take ever longer. Does not wait.
  template <typename Body>
  void share_in_turn(int count, Body body) const {
    for (int i = index; i < count; i += size()) body(i);
  }

 private:
  int part(int count, int i) const {
    return static_cast<int>(static_cast<int64_t>(count) * i / size());
  }
};

}  // namespace orthrus::cpu
