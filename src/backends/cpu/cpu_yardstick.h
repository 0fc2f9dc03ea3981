// The processor as a yardstick: reading memory, and multiply-adds in registers.
#pragma once

#include <vector>

#include "backends/yardstick.h"
#include "kernels/cpu/crew.h"

namespace orthrus {

class CpuYardstick final : public Yardstick {
 public:
  // They must outlive it.
  explicit CpuYardstick(const cpu::Crews& crews) : crews_(&crews) {}
  MachineRates measure() override;

 private:
  const cpu::Crews* crews_;
  std::vector<float> memory_ = std::vector<float>(size_t{256} << 20 >> 2, 1.0f);  // > any cache
};

}  // namespace orthrus
