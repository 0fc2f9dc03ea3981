// A CUDA device as a yardstick: copying its memory, and products of tiles in shared memory.
#pragma once

#include <cstdint>
#include <functional>

#include "backends/cuda/device.h"
#include "backends/yardstick.h"

namespace orthrus::cuda {

class CudaYardstick final : public Yardstick {
 public:
  // Throws Error(kSystem) when there is too little memory.
  explicit CudaYardstick(int ordinal);

  MachineRates measure() override;

 private:
  // Of what is put in the default stream.
  double seconds_of(const std::function<cudaError_t()>& enqueue);

  int ordinal_;
  DeviceArray<uint32_t> from_, to_;
  Event begin_{cudaEventDefault}, end_{cudaEventDefault};
};

}  // namespace orthrus::cuda
