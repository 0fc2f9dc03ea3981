// A network's weights in the processor's memory, packed for its products.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/view.h"
#include "network/network_weights.h"

namespace orthrus {

// What every pass of a model shares: immutable after load, used from any thread.
struct CpuWeights {
  // Binds the checkpoint's weights, reads them all to see that they are finite, and packs them.
  // Throws as bind_weights, check_finite and pack_weights do; the last two tell `progress` what is
  // done of what is to do.
  CpuWeights(ModelConfig model_config, Checkpoint model_checkpoint, const std::string& model_name,
             const Ops& ops, const WeightTypes& types = {},
             const std::function<void(size_t done, size_t total)>& progress = {});

  // Of this shape, with weights that are made up.
  static CpuWeights random(const ModelConfig& config, const PerView<DType>& types, const Ops& ops);
  // Bytes that random() allocates.
  static double random_bytes(const ModelConfig& config, const PerView<DType>& types,
                             const Ops& ops);

  ModelConfig config;
  std::optional<Checkpoint> checkpoint;  // where the embedding lies; none of a random model
  NetworkWeights network;
  std::vector<Buffer> packed;   // the matrices' memory
  DType kv_type = DType::kF32;  // of the cache: F32 or BF16
  std::vector<float> inv_freq;  // rope_inv_freq(config)

  KvLayout kv_layout() const {
    return {config.num_hidden_layers, config.num_key_value_heads, config.head_dim, kv_type};
  }

 private:
  explicit CpuWeights(ModelConfig model_config);
};

}  // namespace orthrus
