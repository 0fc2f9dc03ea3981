#include "backends/cuda/cuda_model.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "backends/cuda/cuda_cycles.h"
#include "backends/cuda/cuda_forward.h"
#include "backends/cuda/cuda_yardstick.h"
#include "backends/cuda/device_weights.h"
#include "backends/cuda/weight_plan.h"
#include "backends/stage_progress.h"
#include "kernels/cuda/roofline.h"
#include "network/network_weights.h"
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

size_t branch_pages(const ModelConfig& config) {
  return config.has_diffusion_view() ? kBranchPages : 0;
}

class CudaLane final : public Lane {
 public:
  CudaLane(const ModelConfig& config, const DeviceWeights& weights, size_t pages, int ordinal)
      : memory_(config, pages, branch_pages(config)),
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
  void copy_page(const std::byte* from, std::byte* to) override {
    memory_.copy(from, to, network_.stream());
  }

 private:
  KvMemory memory_;
  KvPool pool_;
  PassKernels network_;
  CudaForwardPass pass_;
  CudaCycles cycles_;
};

// What passes of many rows work in, contexts, graphs, and branches of trees: a chunk of a prompt
// and the blocks of many sequences, some of them sampled.
double room_for_passes(const ModelConfig& config) {
  constexpr double kRows = 8192, kLogits = 1024, kRest = 1 << 30;
  const Heads heads{config.num_attention_heads, config.num_key_value_heads, config.head_dim};
  const double q = heads.heads * heads.head_dim, kv = heads.kv_heads * heads.head_dim;
  const double of_row =
      6.0 * config.hidden_size + 4 * (q + 2 * kv) + 4 * q + 2.0 * config.intermediate_size;
  const size_t attention =
      attention_workspace_bytes(heads, static_cast<int>(kRows), config.max_position_embeddings);
  return kRows * of_row + kLogits * 4 * config.vocab_size + static_cast<double>(attention) +
         KvMemory::bytes(config, branch_pages(config)) + kRest;
}

class CudaModel final : public DeviceModel {
 public:
  CudaModel(ModelConfig config, DeviceWeights weights, std::set<DType> widened, int ordinal)
      : config_(std::move(config)),
        weights_(std::move(weights)),
        widened_(std::move(widened)),
        ordinal_(ordinal) {}

  const ModelConfig& config() const override { return config_; }
  std::vector<DType> weight_types(View view) const override {
    const std::map<DType, double>& bytes = weights_.bytes[view];
    std::vector<DType> types;
    for (const auto& [type, of_type] : bytes) types.push_back(type);
    std::ranges::sort(types, std::ranges::greater{}, [&](DType type) { return bytes.at(type); });
    return types;
  }
  std::vector<DType> widened_types() const override { return {widened_.begin(), widened_.end()}; }
  DType kv_cache() const override { return DType::kBF16; }
  int prefill_chunk() const override { return 2048; }
  int prefill_chunk_beside() const override { return 512; }
  int max_batch() const override { return 256; }
  size_t pages_that_fit() const override {
    check(cudaSetDevice(ordinal_), "choosing the device");
    const double free = free_memory();
    const double room = std::max(free - room_for_passes(config_), free / 2);
    return static_cast<size_t>(room / KvMemory::bytes(config_, 1));
  }
  std::unique_ptr<Lane> start(size_t pages) const override {
    check(cudaSetDevice(ordinal_), "choosing the device");
    return std::make_unique<CudaLane>(config_, weights_, pages, ordinal_);
  }
  double matrix_bytes(View view) const override {
    double sum = 0;
    for (const auto& [type, bytes] : weights_.bytes[view]) sum += bytes;
    return sum;
  }
  double position_bytes() const override { return KvMemory::bytes(config_, 1) / kTilePositions; }
  std::unique_ptr<Yardstick> yardstick() const override {
    return std::make_unique<CudaYardstick>(ordinal_);
  }

 private:
  ModelConfig config_;
  DeviceWeights weights_;
  std::set<DType> widened_;
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

// The weights, and keys and values of a short context. Activations come to less than what is
// rounded up elsewhere.
void check_room_for(const ModelConfig& config, const WeightPlan& plan) {
  check_room(plan.bytes() + KvMemory::bytes(config, 16), "The weights and a short context");
}

// As Engine::widened_types. Copies for drafts that are BF16 because they were to be don't count.
std::set<DType> widened_types(const WeightPlan& plan, const PerView<WeightType>& wanted) {
  std::set<DType> types = plan.widened(View::kAutoregressive);
  if (wanted.ar == wanted.diffusion) types.merge(plan.widened(View::kDiffusion));
  return types;
}

}  // namespace

int device_count() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

std::unique_ptr<const DeviceModel> load_model(ModelConfig config, Checkpoint checkpoint,
                                              const std::string& model_name, int ordinal,
                                              const LoadProgress& progress,
                                              const WeightTypes& types) {
  use_device(ordinal);
  check_shape(config, model_name);
  const NetworkWeights weights = bind_weights(config, checkpoint, model_name);
  const PerView<WeightType> wanted = types.of_views(WeightType::native());
  const WeightPlan plan = plan_weights(config, weights, wanted);
  check_room_for(config, plan);
  check_finite(checkpoint, model_name, of_stage(progress, LoadStage::kChecking));
  check_fits(checkpoint, DType::kBF16, model_name);
  if (wanted.ar == DType::kQ8_0 || wanted.diffusion == DType::kQ8_0) {
    check_fits(checkpoint, DType::kQ8_0, model_name);
  }
  DeviceWeights on_device =
      upload(config, weights, plan, of_stage(progress, LoadStage::kConverting));
  return std::make_unique<CudaModel>(std::move(config), std::move(on_device),
                                     widened_types(plan, wanted), ordinal);
}

std::unique_ptr<const DeviceModel> random_model(const ModelConfig& config, int ordinal,
                                                const LoadProgress& progress,
                                                const WeightTypes& types) {
  use_device(ordinal);
  check_shape(config, "The model");
  NetworkWeights imagined = imagined_weights(config);
  const WeightPlan plan = plan_weights(config, imagined, types.of_views(WeightType::native()));
  check_room_for(config, plan);
  DeviceWeights weights =
      upload_made_up(config, imagined, plan, of_stage(progress, LoadStage::kMaking));
  return std::make_unique<CudaModel>(config, std::move(weights), std::set<DType>(), ordinal);
}

}  // namespace orthrus::cuda
