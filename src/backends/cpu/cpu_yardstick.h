// The processor as a yardstick: reading memory, and multiply-adds in registers.
#pragma once

#include <vector>

#include "backends/yardstick.h"

namespace orthrus {

class CpuYardstick final : public Yardstick {
 public:
  explicit CpuYardstick(int threads) : threads_(threads) {}
  MachineRates measure() override;

 private:
  int threads_;
  std::vector<float> memory_ = std::vector<float>(size_t{256} << 20 >> 2, 1.0f);  // > any cache
};

}  // namespace orthrus
