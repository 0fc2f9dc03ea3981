// Memory for what a pass reads.
#pragma once

#include "backends/cuda/device.h"
#include "kernels/cuda/pass_inputs.h"

namespace orthrus::cuda {

// Of PassInputs for `rows` rows, but for the page table, which may lie behind them.
size_t input_bytes(int rows);
PassInputs inputs_in(std::byte* memory, int rows);

// For passes that the host describes: a copy for it to write, and the device's, each in one piece.
class InputMemory {
 public:
  // Makes room for so many rows and entries of the page table; true where that moved them, and the
  // device may still be reading the old ones. Throws std::bad_alloc, and then there is room for
  // nothing.
  bool reserve(int rows, size_t pages, cudaStream_t stream);

  const PassInputs& host() const { return host_; }
  const PassInputs& device() const { return device_; }

  // The host's copy, with so many entries of the page table.
  void upload(int pages, cudaStream_t stream) const;

 private:
  int rows_ = 0;
  size_t pages_ = 0;
  PinnedArray<std::byte> host_memory_;
  DeviceArray<std::byte> device_memory_;
  PassInputs host_, device_;
};

}  // namespace orthrus::cuda
