// A model on the processor.
#pragma once

#include <utility>

#include "kernels/cpu/cpu_ops.h"
#include "model/device_model.h"
#include "model/forward.h"

namespace orthrus {

class CpuModel final : public DeviceModel {
 public:
  CpuModel(Model loaded, int threads)
      : model_(std::move(loaded)), ops_(threads), threads_(threads) {}

  const ModelConfig& config() const override { return model_.config; }
  DType weights(View view) const override {
    return model_.weights.layers.front().mlp[static_cast<int>(view)].down_proj.type;
  }
  DType kv_cache() const override { return model_.kv_type; }
  int prefill_chunk() const override { return 256; }
  std::unique_ptr<Runner> start(size_t pages) const override;
  double matrix_bytes(View view) const override;
  double position_bytes() const override;
  std::unique_ptr<Machine> machine() const override;

 private:
  Model model_;
  CpuOps ops_;
  int threads_;
};

}  // namespace orthrus
