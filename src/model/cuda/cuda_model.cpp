#include "model/cuda/cuda_model.h"

#include <fmt/core.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <utility>
#include <vector>

#include "kernels/cuda/roofline.h"
#include "model/cuda/cuda_machine.h"
#include "model/cuda/cycles.h"
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
        network_(config, weights, memory_),
        pass_(network_, ordinal),
        cycles_(network_, ordinal) {}
  KvPool& pool() override { return pool_; }
  ForwardPass& pass() override { return pass_; }
  CycleRunner* cycles() override { return &cycles_; }
  // All pages: a layer's lie together, not a page's.
  void fill_cache(const KvSequence&) override {
    check(fill_made_up(memory_.of_layer(0).data, memory_.size(), nullptr), "filling the cache");
    check(cudaStreamSynchronize(cudaStreamLegacy), "filling the cache");
  }
  size_t pages() const { return memory_.pages(); }

 private:
  KvMemory memory_;
  KvPool pool_;
  Network network_;
  CudaForwardPass pass_;
  CudaCycles cycles_;
};

// Runners that nobody uses at present. Making one takes longer than many a generation: memory, and
// a graph for each shape of a pass.
class IdleRunners {
 public:
  // One with room for so many pages; null if there is none. What is too small is freed: its memory
  // may be needed.
  std::unique_ptr<CudaRunner> take(size_t pages) {
    const std::lock_guard lock(mutex_);
    std::unique_ptr<CudaRunner> taken;
    for (auto& runner : runners_) {
      if (taken == nullptr && runner->pages() >= pages) taken = std::move(runner);
    }
    if (taken == nullptr) {
      runners_.clear();
    } else {
      std::erase(runners_, nullptr);
    }
    return taken;
  }
  void put(std::unique_ptr<CudaRunner> runner) {
    const std::lock_guard lock(mutex_);
    runners_.push_back(std::move(runner));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<CudaRunner>> runners_;
};

// A runner that goes back to the idle ones, unless an exception ended its use: what it holds may be
// half done.
class LentRunner final : public Runner {
 public:
  LentRunner(std::unique_ptr<CudaRunner> runner, IdleRunners& home)
      : runner_(std::move(runner)), home_(&home) {}
  ~LentRunner() override {
    if (std::uncaught_exceptions() == exceptions_) home_->put(std::move(runner_));
  }
  KvPool& pool() override { return runner_->pool(); }
  ForwardPass& pass() override { return runner_->pass(); }
  CycleRunner* cycles() override { return runner_->cycles(); }
  void fill_cache(const KvSequence& sequence) override { runner_->fill_cache(sequence); }

 private:
  std::unique_ptr<CudaRunner> runner_;
  IdleRunners* home_;
  int exceptions_ = std::uncaught_exceptions();
};

class CudaModel final : public DeviceModel {
 public:
  CudaModel(ModelConfig config, DeviceWeights weights, int ordinal)
      : config_(std::move(config)), weights_(std::move(weights)), ordinal_(ordinal) {}

  const ModelConfig& config() const override { return config_; }
  DType weights(View) const override { return DType::kBF16; }
  DType kv_cache() const override { return DType::kBF16; }
  int prefill_chunk() const override { return 2048; }
  std::unique_ptr<Runner> start(size_t pages) const override {
    check(cudaSetDevice(ordinal_), "choosing the device");
    std::unique_ptr<CudaRunner> runner = idle_.take(pages);
    if (runner == nullptr) {
      // To a power of two, where there is room: the next request may need a little more.
      const auto full = static_cast<size_t>(pages_for(config_.max_position_embeddings));
      size_t generous = 16;
      while (generous < pages) generous *= 2;
      if (pages <= full) generous = std::min(generous, full);
      if (!has_room(KvMemory::bytes(config_, generous))) generous = pages;
      runner = std::make_unique<CudaRunner>(config_, weights_, generous, ordinal_);
    }
    return std::make_unique<LentRunner>(std::move(runner), idle_);
  }
  double matrix_bytes(View view) const override { return pass_bytes(weights_, view); }
  double position_bytes() const override { return KvMemory::bytes(config_, 1) / kTilePositions; }
  std::unique_ptr<Machine> machine() const override {
    return std::make_unique<CudaMachine>(ordinal_);
  }

 private:
  ModelConfig config_;
  DeviceWeights weights_;
  int ordinal_;
  mutable IdleRunners idle_;  // guards itself
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
  check_fits(checkpoint, DType::kBF16, directory);
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
