// A model that does as another one says, but for what a test changes.
#pragma once

#include "backends/device_model.h"

namespace orthrus {

class WrappedModel : public DeviceModel {
 public:
  explicit WrappedModel(const DeviceModel& model) : model_(&model) {}
  const ModelConfig& config() const override { return model_->config(); }
  std::vector<DType> weight_types(View view) const override { return model_->weight_types(view); }
  DType kv_cache() const override { return model_->kv_cache(); }
  int prefill_chunk() const override { return model_->prefill_chunk(); }
  int prefill_chunk_beside() const override { return model_->prefill_chunk_beside(); }
  int max_batch() const override { return model_->max_batch(); }
  size_t pages_that_fit() const override { return model_->pages_that_fit(); }
  std::unique_ptr<Lane> start(size_t pages) const override { return model_->start(pages); }
  double matrix_bytes(View view) const override { return model_->matrix_bytes(view); }
  double position_bytes() const override { return model_->position_bytes(); }
  std::unique_ptr<Yardstick> yardstick() const override { return model_->yardstick(); }

 protected:
  const DeviceModel* model_;
};

}  // namespace orthrus
