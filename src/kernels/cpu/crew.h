// Threads that stay: made once, asleep between passes, each pass begun and ended by their barrier.
//
// Our own, since OpenMP's library ends the process where a thread cannot be made, and where what
// runs on one throws.
#pragma once

#include <atomic>
#include <functional>

#include "kernels/cpu/team.h"

namespace orthrus::cpu {

// As many crews of one size as are at work at the same time, which is one for each thread that
// computes passes.
class Crews {
 public:
  // `size` >= 1: the members of a crew. Makes none yet.
  explicit Crews(int size);
  ~Crews();
  Crews(const Crews&) = delete;
  Crews& operator=(const Crews&) = delete;

  int size() const { return size_; }

  // Runs `body` on every member of a crew, the calling thread being member 0, in FloatEnvironment.
  // What a body throws comes out of here, the first of them if several do; a body that may throw
  // must not wait for others (Member::wait). May be called by several threads at once: each has a
  // crew to itself, or waits for one where no more threads can be made. Throws Error(kSystem) where
  // not even one crew can be made, std::bad_alloc.
  //
  // In a process that was forked the parent's threads are not there, so it makes its own.
  void run(const std::function<void(const Member&)>& body) const;

 private:
  class Loan;
  struct Home;
  Home& home() const;

  int size_;
  mutable std::atomic<Home*> home_;
};

}  // namespace orthrus::cpu
