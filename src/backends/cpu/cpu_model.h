// A model on the processor.
#pragma once

#include <utility>

#include "backends/cpu/cpu_forward.h"
#include "backends/device_model.h"
#include "kernels/cpu/cpu_ops.h"

namespace orthrus {

class CpuModel final : public DeviceModel {
 public:
  CpuModel(CpuWeights loaded, int threads)
      : weights_(std::move(loaded)), ops_(threads), threads_(threads) {}

  const ModelConfig& config() const override { return weights_.config; }
  DType weights(View view) const override {
    return weights_.network.layers.front().mlp[view].down_proj.type;
  }
  DType kv_cache() const override { return weights_.kv_type; }
  int prefill_chunk() const override { return 256; }
  std::unique_ptr<Lane> start(size_t pages) const override;
  double matrix_bytes(View view) const override;
  double position_bytes() const override;
  std::unique_ptr<Yardstick> yardstick() const override;

 private:
  CpuWeights weights_;
  CpuOps ops_;
  int threads_;
};

}  // namespace orthrus
