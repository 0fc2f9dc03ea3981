#include "engine/model_files.h"

#include <fmt/core.h>

#include <string_view>
#include <utility>

#include "base/float_environment.h"
#include "engine/open_model.h"
#include "engine/processors.h"
#include "engine/text.h"
#include "kernels/cpu/cpu_ops.h"
#include "network/network_weights.h"
#include "orthrus/error.h"

namespace orthrus {

void check_options(const EngineOptions& options, const ModelConfig& config,
                   const std::string& name) {
  const auto refuse = [](std::string_view field, DType type, std::string_view valid) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{} is {}; valid is {}.", field, orthrus::name_of(type), valid));
  };
  const DType cache = options.kv_cache.value_or(DType::kBF16);
  if (cache != DType::kF32 && cache != DType::kBF16) refuse("kv_cache", cache, "F32 or BF16");
  if (options.device.kind == Device::Kind::kCuda) {
    for (const auto& [field, type] :
         {std::pair("weights", options.weights), std::pair("draft_weights", options.draft_weights),
          std::pair("kv_cache", options.kv_cache)}) {
      if (type && *type != DType::kBF16) refuse(field, *type, "BF16 on a CUDA device");
    }
  }
  for (const auto& [field, type] :
       {std::pair("weights", options.weights), std::pair("draft_weights", options.draft_weights)}) {
    if (type && !can_pack(DType::kF32, *type)) refuse(field, *type, "F32, F16, BF16 or Q8_0");
  }
  if (options.draft_weights && !config.has_diffusion_view()) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{} has no diffusion view, so there are no drafts to have weights of "
                            "their own.",
                            name));
  }
}

int thread_count(int wanted) {
  constexpr int kMaxThreads = 1024;
  if (wanted < 0 || wanted > kMaxThreads) {
    throw Error(
        ErrorKind::kUsage,
        fmt::format("threads is {}; valid is 1 to {}, or 0 for as many as this process may use.",
                    wanted, kMaxThreads));
  }
  return wanted > 0 ? wanted : usable_cores();
}

ModelFiles::ModelFiles(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ModelFiles::ModelFiles(ModelFiles&&) noexcept = default;
ModelFiles& ModelFiles::operator=(ModelFiles&&) noexcept = default;
ModelFiles::~ModelFiles() = default;

ModelFiles ModelFiles::open(const std::filesystem::path& model, const EngineOptions& options) {
  const FloatEnvironment ours;
  const int threads = thread_count(options.threads);
  Checkpoint checkpoint = open_model(model, options.heads);
  check_options(options, checkpoint.config(), checkpoint.name());
  bind_weights(checkpoint.config(), checkpoint, checkpoint.name());  // for its checks
  std::optional<Tokenizer> tokenizer = tokenizer_of(checkpoint);
  return ModelFiles(
      std::make_unique<Impl>(Impl{std::move(checkpoint), std::move(tokenizer), options, threads}));
}

ModelFiles::Impl& ModelFiles::impl() const {
  if (impl_ == nullptr) throw Error(ErrorKind::kUsage, "These model files were moved from.");
  return *impl_;
}

const ModelConfig& ModelFiles::config() const {
  return impl().checkpoint.config();
}

const Tokenizer* ModelFiles::tokenizer() const {
  return impl().tokenizer ? &*impl().tokenizer : nullptr;
}

std::vector<int32_t> ModelFiles::encode(std::string_view text) const {
  return encode_with(tokenizer(), text);
}

}  // namespace orthrus
