// A model on the processor.
#pragma once

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "backends/cpu/cpu_forward.h"
#include "backends/device_model.h"
#include "kernels/cpu/cpu_ops.h"

namespace orthrus {

class CpuModel final : public DeviceModel {
 public:
  CpuModel(CpuWeights loaded, std::unique_ptr<const CpuOps> ops)
      : weights_(std::move(loaded)), ops_(std::move(ops)) {}
  CpuModel(CpuWeights loaded, int threads)
      : CpuModel(std::move(loaded), std::make_unique<const CpuOps>(threads)) {}

  const ModelConfig& config() const override { return weights_.config; }
  std::vector<DType> weight_types(View view) const override;
  DType kv_cache() const override { return weights_.kv_type; }
  int prefill_chunk() const override { return 256; }
  int prefill_chunk_beside() const override { return 64; }
  int max_batch() const override { return 64; }
  size_t pages_that_fit() const override;
  std::unique_ptr<Lane> start(size_t pages) const override;
  double matrix_bytes(View view) const override;
  double position_bytes() const override;
  std::unique_ptr<Yardstick> yardstick() const override;

 private:
  // Bytes of the matrices that a pass in this view reads, by type.
  std::map<DType, double> bytes_by_type(View view) const;

  CpuWeights weights_;
  std::unique_ptr<const CpuOps> ops_;
};

}  // namespace orthrus
