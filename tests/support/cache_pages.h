// EngineOptions::cache_memory for so many pages.
#pragma once

#include <cstdint>

#include "kernels/ops.h"
#include "orthrus/config.h"

namespace orthrus {

// Of a model on the processor with a cache in F32; 0 for 0.
inline uint64_t bytes_of_pages(const ModelConfig& config, int pages) {
  const int64_t position = int64_t{2} * config.num_hidden_layers * config.num_key_value_heads *
                           config.head_dim * static_cast<int64_t>(sizeof(float));
  return static_cast<uint64_t>(position * kPageSize * pages);
}

}  // namespace orthrus
