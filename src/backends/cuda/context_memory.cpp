#include "backends/cuda/context_memory.h"

#include <vector>

namespace orthrus::cuda {

bool ContextMemory::reserve(size_t count, size_t vocabulary) {
  if (count <= penalties_.size()) return false;
  penalties_ = {};
  occurrences_ = DeviceArray<Occurrence>(count * vocabulary);
  biases_ = DeviceArray<float>(count * vocabulary);
  penalties_ = DeviceArray<Penalties>(count);
  return true;
}

void ContextMemory::upload(size_t i, const RowContext& context, cudaStream_t stream) const {
  // Memory that is not pinned is copied before the call returns.
  const auto put = [stream](auto* to, const auto* from, size_t count) {
    check(cudaMemcpyAsync(to, from, count * sizeof(*from), cudaMemcpyHostToDevice, stream),
          "uploading a row context");
  };
  const size_t vocabulary = context.occurrences().size();
  std::vector<float> biases(vocabulary);
  for (const TokenBias& b : context.biases()) biases[static_cast<size_t>(b.token)] = b.bias;
  put(occurrences_.data() + i * vocabulary, context.occurrences().data(), vocabulary);
  put(biases_.data() + i * vocabulary, biases.data(), vocabulary);
  put(penalties_.data() + i, &context.penalties(), 1);
}

}  // namespace orthrus::cuda
