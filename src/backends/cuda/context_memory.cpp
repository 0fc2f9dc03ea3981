#include "backends/cuda/context_memory.h"

#include <vector>

namespace orthrus::cuda {

bool ContextMemory::reserve(size_t count, size_t vocabulary, cudaStream_t stream) {
  if (count <= penalties_.size()) return false;
  DeviceArray<Occurrence> occurrences(count * vocabulary);
  DeviceArray<float> biases(count * vocabulary);
  DeviceArray<Penalties> penalties(count);
  const auto move = [stream](auto& to, auto& from) {
    if (from.size() == 0) return;
    check(cudaMemcpyAsync(to.data(), from.data(), from.size() * sizeof(*from.data()),
                          cudaMemcpyDeviceToDevice, stream),
          "moving row contexts");
  };
  move(occurrences, occurrences_);
  move(biases, biases_);
  move(penalties, penalties_);
  check(cudaStreamSynchronize(stream), "moving row contexts");
  std::swap(occurrences, occurrences_);
  std::swap(biases, biases_);
  std::swap(penalties, penalties_);
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
