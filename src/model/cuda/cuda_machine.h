// A CUDA device as a yardstick: copying its memory.
#pragma once

#include <cstdint>

#include "model/cuda/device.h"
#include "model/machine.h"

namespace orthrus::cuda {

// What the device computes is not measured.
class CudaMachine final : public Machine {
 public:
  // Throws Error(kSystem) when there is too little memory.
  explicit CudaMachine(int ordinal);
  ~CudaMachine() override;
  CudaMachine(const CudaMachine&) = delete;
  CudaMachine& operator=(const CudaMachine&) = delete;

  MachineRates measure() override;

 private:
  int ordinal_;
  DeviceArray<uint32_t> from_, to_;
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

}  // namespace orthrus::cuda
