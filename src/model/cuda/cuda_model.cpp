#include "model/cuda/cuda_model.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "model/cuda/device_weights.h"
#include "model/cuda/forward.h"
#include "model/weights.h"
#include "orthrus/error.h"

namespace orthrus::cuda {
namespace {

class Pages final : public PageMemory {
 public:
  explicit Pages(const KvMemory& memory) : memory_(&memory) {}
  std::byte* make_page() override {
    return next_ < memory_->pages() ? memory_->address_of(next_++) : nullptr;
  }

 private:
  const KvMemory* memory_;
  size_t next_ = 0;
};

class CudaRunner final : public Runner {
 public:
  CudaRunner(const ModelConfig& config, const DeviceWeights& weights, size_t pages, int ordinal)
      : memory_(config, pages),
        pool_(std::make_unique<Pages>(memory_), pages),
        pass_(config, weights, memory_, ordinal) {}
  KvPool& pool() override { return pool_; }
  ForwardPass& pass() override { return pass_; }

 private:
  KvMemory memory_;
  KvPool pool_;
  CudaForwardPass pass_;
};

class CudaModel final : public DeviceModel {
 public:
  CudaModel(ModelConfig config, DeviceWeights weights, int ordinal)
      : config_(std::move(config)), weights_(std::move(weights)), ordinal_(ordinal) {}

  const ModelConfig& config() const override { return config_; }
  DType weights() const override { return DType::kBF16; }
  DType kv_cache() const override { return DType::kBF16; }
  int prefill_chunk() const override { return 2048; }
  std::unique_ptr<Runner> start(size_t pages) const override {
    check(cudaSetDevice(ordinal_), "choosing the device");
    return std::make_unique<CudaRunner>(config_, weights_, pages, ordinal_);
  }

 private:
  ModelConfig config_;
  DeviceWeights weights_;
  int ordinal_;
};

void check_shape(const ModelConfig& config, const std::string& name) {
  const auto refuse = [&](std::string_view field, int value, std::string_view valid) {
    throw Error(ErrorKind::kUnsupported, fmt::format("{}: {} is {}; on a CUDA device valid is {}.",
                                                     name, field, value, valid));
  };
  const int dim = config.head_dim;
  if (dim != 16 && dim != 32 && dim != 64 && dim != 128) {
    refuse("head_dim", dim, "16, 32, 64 or 128");
  }
  if (config.hidden_size % 8 != 0 || config.hidden_size > kMostNormCols) {
    refuse("hidden_size", config.hidden_size,
           fmt::format("a multiple of 8 up to {}", kMostNormCols));
  }
  if (config.intermediate_size % 8 != 0) {
    refuse("intermediate_size", config.intermediate_size, "a multiple of 8");
  }
}

}  // namespace

int device_count() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

std::unique_ptr<const DeviceModel> load_model(
    ModelConfig config, Checkpoint checkpoint, const std::string& directory, int ordinal,
    const std::function<void(size_t done, size_t total)>& progress) {
  use_device(ordinal);
  check_shape(config, directory);
  const orthrus::Weights weights = bind_weights(config, checkpoint, directory);
  check_room(weight_bytes(config), "The weights");
  check_finite(checkpoint, directory, progress);
  DeviceWeights on_device = upload(config, weights, progress);
  return std::make_unique<CudaModel>(std::move(config), std::move(on_device), ordinal);
}

std::unique_ptr<const DeviceModel> random_model(const ModelConfig& config, int ordinal) {
  use_device(ordinal);
  check_shape(config, "The model");
  check_room(weight_bytes(config), "The weights");
  return std::make_unique<CudaModel>(config, random_device_weights(config), ordinal);
}

}  // namespace orthrus::cuda
