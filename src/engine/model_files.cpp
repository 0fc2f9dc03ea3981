#include "engine/model_files.h"

#include <fmt/core.h>

#include <string_view>
#include <utility>

#include "backends/backend.h"
#include "base/float_environment.h"
#include "engine/open_model.h"
#include "engine/processors.h"
#include "engine/text.h"
#include "network/network_weights.h"
#include "orthrus/error.h"

namespace orthrus {

void check_options(const EngineOptions& options, const ModelConfig& config,
                   const std::string& name) {
  backend_of(options.device.kind).check(options);
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
