// Arithmetic without subnormal numbers, for as long as an object of this lives, on its thread.
//
// What a model computes has no use for numbers below 1e-38, processors take a hundred times as long
// for them, and products of BF16 have them off for good (pair_dot-inl.h).
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace orthrus::cpu {

class FlushSubnormals {
 public:
  FlushSubnormals() : before_(read()) { write(before_ | kFlush); }
  ~FlushSubnormals() { write(before_); }
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;

 private:
#if defined(__x86_64__)
  using Control = unsigned;
  static constexpr Control kFlush = 0x8040;  // MXCSR: flush to zero, subnormals are zero
  static Control read() {
    return _mm_getcsr();
  }
  static void write(Control value) {
    _mm_setcsr(value);
  }
#elif defined(__aarch64__)
  using Control = uint64_t;
  static constexpr Control kFlush = 1 << 24;  // FPCR.FZ
  static Control read() {
    Control value;
    asm volatile("mrs %0, fpcr" : "=r"(value));
    return value;
  }
  static void write(Control value) {
    asm volatile("msr fpcr, %0" : : "r"(value));
  }
#else
#error "FlushSubnormals: no implementation for this architecture"
#endif

  Control before_;
};

}  // namespace orthrus::cpu
