// Waiting for all blocks of a grid that are on the device together.
#pragma once

#include <cstdint>

namespace orthrus::cuda {

// Counts arrivals in the device's memory: `arrived` is 0 before the kernel, and after it. What a
// thread's block wrote before it arrives, and its threads have met, is visible after wait() to
// whoever meets the thread that waited.
class GridBarrier {
 public:
  __device__ explicit GridBarrier(unsigned* arrived) : arrived_(arrived) {}

  // By one thread of the block.
  __device__ void arrive() const {
    asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(arrived_) : "memory");
  }

  // Until every block has arrived `times` times.
  __device__ void wait(unsigned times) const {
    unsigned polls = 0, arrived;
    do {
      asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];"
                   : "=r"(arrived)
                   : "l"(arrived_)
                   : "memory");
      if (++polls == kMostPolls) __trap();  // a lost device is better than one that hangs
    } while (arrived < times * gridDim.x);
    asm volatile("fence.acq_rel.gpu;" ::: "memory");
  }

  // By one thread of the block, for which all waiting is done and which arrived `times` times.
  __device__ void leave(unsigned times) const {
    const unsigned last = (times + 1) * gridDim.x - 1;
    if (atomicAdd(arrived_, 1) == last) *arrived_ = 0;
  }

 private:
  static constexpr unsigned kMostPolls = 1u << 25;  // some ten seconds

  unsigned* arrived_;
};

}  // namespace orthrus::cuda
