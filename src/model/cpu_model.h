// A model on the processor.
#pragma once

#include <utility>

#include "kernels/cpu/cpu_ops.h"
#include "model/device_model.h"
#include "model/forward.h"

namespace orthrus {

class CpuModel final : public DeviceModel {
 public:
  CpuModel(Model loaded, int threads) : model_(std::move(loaded)), ops_(threads) {}

  const ModelConfig& config() const override { return model_.config; }
  DType weights() const override {
    return model_.weights.layers.front().mlp.front().down_proj.type;
  }
  DType kv_cache() const override { return model_.kv_type; }
  int prefill_chunk() const override { return 256; }
  std::unique_ptr<Runner> start(size_t pages) const override {
    return std::make_unique<CpuRunner>(*this, pages);
  }

  const Model& model() const { return model_; }
  const CpuOps& ops() const { return ops_; }

 private:
  class CpuRunner final : public Runner {
   public:
    CpuRunner(const CpuModel& of, size_t pages)
        : pool_(of.ops_, of.model_.kv_layout(), pages), pass_(of.model_, of.ops_) {}
    KvPool& pool() override { return pool_; }
    ForwardPass& pass() override { return pass_; }

   private:
    KvPool pool_;
    CpuForwardPass pass_;
  };

  Model model_;
  CpuOps ops_;
};

}  // namespace orthrus
