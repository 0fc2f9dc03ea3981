// The floating-point environment that everything is computed in, whatever the caller's: round to
// nearest, no exception traps, no subnormal numbers.
//
// What a model computes has no use for numbers below 1e-38, processors take a hundred times as long
// for them, and products of BF16 have them off for good (pair_dot-inl.h).
//
// Engine, Session and what reads model files set it where they are entered, threads of a crew where
// they begin, and nothing in between. What is the user's, a callback, runs in the environment that
// the user had.
#pragma once

#include <cfenv>
#include <cstdint>

#include "base/strict_math.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace orthrus {

// Sets it on this thread for as long as an object of this lives, then restores the caller's. One
// within another does nothing.
class FloatEnvironment {
 public:
  FloatEnvironment() {
    if (set_by_ != nullptr) return;
    std::fegetenv(&callers_);
    set();
    set_by_ = this;
  }
  ~FloatEnvironment() {
    if (set_by_ != this) return;
    set_by_ = nullptr;
    std::fesetenv(&callers_);
  }
  FloatEnvironment(const FloatEnvironment&) = delete;
  FloatEnvironment& operator=(const FloatEnvironment&) = delete;

 private:
  friend class CallersFloatEnvironment;

  // The x87 unit's too, whose rounding strtod goes by.
  static void set() {
    std::fesetenv(FE_DFL_ENV);
#if defined(__x86_64__)
    constexpr unsigned kMasks = 0x1f80, kFlushToZero = 0x8000, kSubnormalsAreZero = 0x40;
    _mm_setcsr(kMasks | kFlushToZero | kSubnormalsAreZero);
#elif defined(__aarch64__)
    constexpr uint64_t kFlushToZero = 1 << 24;
    asm volatile("msr fpcr, %0" : : "r"(kFlushToZero));
#else
#error "FloatEnvironment: no implementation for this architecture"
#endif
  }

  static inline thread_local FloatEnvironment* set_by_ = nullptr;
  std::fenv_t callers_;
};

// The caller's environment again, for as long as an object of this lives; then ours. What changes
// there stays changed for the caller.
class CallersFloatEnvironment {
 public:
  CallersFloatEnvironment() : inner_(FloatEnvironment::set_by_) {
    if (inner_ == nullptr) return;
    FloatEnvironment::set_by_ = nullptr;
    std::fesetenv(&inner_->callers_);
  }
  ~CallersFloatEnvironment() {
    if (inner_ == nullptr) return;
    std::fegetenv(&inner_->callers_);
    FloatEnvironment::set();
    FloatEnvironment::set_by_ = inner_;
  }
  CallersFloatEnvironment(const CallersFloatEnvironment&) = delete;
  CallersFloatEnvironment& operator=(const CallersFloatEnvironment&) = delete;

 private:
  FloatEnvironment* inner_;
};

}  // namespace orthrus
