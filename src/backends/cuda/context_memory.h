// The row contexts of the sequences that decode together, on the device.
#pragma once

#include "backends/cuda/device.h"
#include "kernels/cuda/row_context.h"
#include "kernels/row_context.h"

namespace orthrus::cuda {

class ContextMemory {
 public:
  // Makes room for so many contexts and keeps those that are there; true where that moved them,
  // when the stream is done with them. Throws std::bad_alloc, and nothing has changed.
  bool reserve(size_t count, size_t vocabulary, cudaStream_t stream);

  // Puts a copy of it in place `i`, in the stream's order; the context is free to change then.
  void upload(size_t i, const RowContext& context, cudaStream_t stream) const;

  RowContexts contexts() const { return {occurrences_.data(), biases_.data(), penalties_.data()}; }

 private:
  DeviceArray<Occurrence> occurrences_;  // [contexts][vocabulary]
  DeviceArray<float> biases_;            // [contexts][vocabulary]
  DeviceArray<Penalties> penalties_;     // [contexts]
};

}  // namespace orthrus::cuda
