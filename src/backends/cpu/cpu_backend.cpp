#include "backends/cpu/cpu_backend.h"

#include <utility>

#include "backends/cpu/cpu_model.h"
#include "kernels/cpu/cpu_ops.h"

namespace orthrus {
namespace {

void check(const EngineOptions& options) {
  const auto caches = [](DType type) { return type == DType::kF32 || type == DType::kBF16; };
  const auto packs = [](DType type) { return can_pack(DType::kF32, type); };
  check_type("kv_cache", options.kv_cache, caches, "F32 or BF16");
  constexpr std::string_view kPacked = "F32, F16, BF16, Q8_0 or native";
  check_weights("weights", options.weights, packs, kPacked);
  check_weights("draft_weights", options.draft_weights, packs, kPacked);
}

std::unique_ptr<const DeviceModel> model_of(CpuWeights weights, std::unique_ptr<const CpuOps> ops,
                                            const EngineOptions& options) {
  weights.kv_type = options.kv_cache.value_or(DType::kF32);
  return std::make_unique<CpuModel>(std::move(weights), std::move(ops));
}

std::unique_ptr<const DeviceModel> load(Checkpoint checkpoint, const EngineOptions& options) {
  auto ops = std::make_unique<const CpuOps>(options.threads);
  const ModelConfig config = checkpoint.config();
  const std::string name = checkpoint.name();
  CpuWeights weights(config, std::move(checkpoint), name, *ops,
                     {options.weights, options.draft_weights}, options.on_load);
  return model_of(std::move(weights), std::move(ops), options);
}

std::unique_ptr<const DeviceModel> random(const ModelConfig& config, const EngineOptions& options) {
  auto ops = std::make_unique<const CpuOps>(options.threads);
  const PerView<WeightType> types =
      WeightTypes{options.weights, options.draft_weights}.of_views(WeightType::native());
  constexpr DType kMadeUp = DType::kBF16;
  CpuWeights weights = CpuWeights::random(
      config, {types.ar.one().value_or(kMadeUp), types.diffusion.one().value_or(kMadeUp)}, *ops,
      options.on_load);
  return model_of(std::move(weights), std::move(ops), options);
}

}  // namespace

constinit const Backend kCpuBackend = {.kind = Device::Kind::kCpu,
                                       .devices = [] { return 1; },
                                       .check = check,
                                       .load = load,
                                       .random = random};

}  // namespace orthrus
