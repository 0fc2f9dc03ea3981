// A network's weights in the processor's memory, packed for its products.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/view.h"
#include "network/network_weights.h"
#include "orthrus/load_progress.h"

namespace orthrus {

// What every pass of a model shares: immutable after load, used from any thread.
struct CpuWeights {
  // Binds the checkpoint's weights, reads them all to see that they are finite, and packs them.
  // Throws as bind_weights, check_finite and pack_weights do, and before it reads weights
  // Error(kSystem) when this process may not have the memory for them and for a short context.
  CpuWeights(ModelConfig model_config, Checkpoint model_checkpoint, const std::string& model_name,
             const Ops& ops, const WeightTypes& types = {}, const LoadProgress& progress = {});

  // Of this shape, with weights that are made up. Throws Error(kSystem) as above.
  static CpuWeights random(const ModelConfig& config, const PerView<DType>& types, const Ops& ops,
                           const LoadProgress& progress = {});

  ModelConfig config;
  std::optional<Checkpoint> checkpoint;  // where tables lie; none of a random model
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
