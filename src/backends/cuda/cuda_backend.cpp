#include "backends/cuda/cuda_backend.h"

#include <utility>

#include "backends/cuda/cuda_model.h"

namespace orthrus::cuda {
namespace {

void check(const EngineOptions& options) {
  const auto bf16 = [](DType type) { return type == DType::kBF16; };
  const auto stored = [](DType type) { return type == DType::kBF16 || type == DType::kQ8_0; };
  constexpr std::string_view kStored = "BF16, Q8_0 or native on a CUDA device";
  check_weights("weights", options.weights, stored, kStored);
  check_weights("draft_weights", options.draft_weights, stored, kStored);
  check_type("kv_cache", options.kv_cache, bf16, "BF16 on a CUDA device");
}

std::unique_ptr<const DeviceModel> load(Checkpoint checkpoint, const EngineOptions& options) {
  ModelConfig config = checkpoint.config();
  const std::string name = checkpoint.name();
  return load_model(std::move(config), std::move(checkpoint), name, options.device.ordinal,
                    options.on_load, {options.weights, options.draft_weights});
}

std::unique_ptr<const DeviceModel> random(const ModelConfig& config, const EngineOptions& options) {
  return random_model(config, options.device.ordinal, options.on_load,
                      {options.weights, options.draft_weights});
}

}  // namespace

constinit const Backend kBackend = {.kind = Device::Kind::kCuda,
                                    .devices = device_count,
                                    .check = check,
                                    .load = load,
                                    .random = random};

}  // namespace orthrus::cuda
