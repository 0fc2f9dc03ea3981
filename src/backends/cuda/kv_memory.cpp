#include "backends/cuda/kv_memory.h"

namespace orthrus::cuda {

KvMemory::KvMemory(const ModelConfig& config, size_t pages, size_t branch_pages)
    : pages_(pages),
      branch_pages_(branch_pages),
      stride_(static_cast<size_t>(config.num_key_value_heads) * tile_elements(config.head_dim)) {
  check_room(bytes(config, pages + branch_pages), "The keys and values of this context");
  data_ =
      DeviceArray<__nv_bfloat16>(layer_stride() * static_cast<size_t>(config.num_hidden_layers));
}

void KvMemory::copy(const std::byte* from, std::byte* to, cudaStream_t stream) const {
  const size_t of_layer = layer_stride() * sizeof(__nv_bfloat16);
  for (size_t offset = 0; offset < data_.size() * sizeof(__nv_bfloat16); offset += of_layer) {
    check(cudaMemcpyAsync(to + offset, from + offset, stride_ * sizeof(__nv_bfloat16),
                          cudaMemcpyDeviceToDevice, stream),
          "copying keys and values");
  }
}

double KvMemory::bytes(const ModelConfig& config, size_t pages) {
  return static_cast<double>(pages) * config.num_hidden_layers * config.num_key_value_heads *
         tile_elements(config.head_dim) * sizeof(__nv_bfloat16);
}

}  // namespace orthrus::cuda
