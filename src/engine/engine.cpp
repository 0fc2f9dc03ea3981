#include "orthrus/engine.h"

#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <new>

#include "backends/cpu/cpu_model.h"
#include "backends/cuda/cuda_model.h"
#include "base/float_environment.h"
#include "engine/engine_impl.h"
#include "engine/job.h"
#include "engine/open_model.h"
#include "engine/processors.h"
#include "engine/request.h"
#include "engine/scheduler.h"
#include "engine/text.h"
#include "kernels/cpu/cpu_ops.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

size_t pages_for(int positions) {
  return static_cast<size_t>(positions + kPageSize - 1) / kPageSize;
}

// That its keys and values can come to.
size_t pages_for(const ModelConfig& config, const Request& request) {
  const int64_t most = static_cast<int64_t>(request.prompt.size()) + request.options.max_tokens;
  return pages_for(static_cast<int>(std::clamp<int64_t>(most, 1, config.max_position_embeddings)));
}

// `name`: of the model, for messages.
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

// on_load as the user knows it, for code that computes in ours.
std::function<void(size_t done, size_t total)> callback_of(const EngineOptions& options) {
  if (!options.on_load) return {};
  return [&options](size_t done, size_t total) {
    const CallersFloatEnvironment callers;
    options.on_load(done, total);
  };
}

}  // namespace

int cuda_devices() {
  return cuda::device_count();
}

struct Session::Impl {
  explicit Impl(std::shared_ptr<const Engine::Impl> owner)
      : engine(std::move(owner)),
        lane(engine->model->start(pages_for(engine->model->config().max_position_embeddings))) {}

  std::shared_ptr<const Engine::Impl> engine;
  std::unique_ptr<Lane> lane;
  KvSequence sequence{lane->pool()};
  std::vector<int32_t> cached_ids;  // whose keys `sequence` holds
};

Engine::Engine(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;
Engine::~Engine() = default;

Engine Engine::load(const std::filesystem::path& path, const EngineOptions& options) {
  const FloatEnvironment ours;
  const int threads = thread_count(options.threads);
  const auto on_load = callback_of(options);
  Checkpoint checkpoint = open_model(path, options.heads);
  const std::string name = checkpoint.name();
  const ModelConfig config = checkpoint.config();
  check_options(options, config, name);
  std::optional<Tokenizer> tokenizer = tokenizer_of(checkpoint);
  std::unique_ptr<const DeviceModel> model;
  if (options.device.kind == Device::Kind::kCuda) {
    model = cuda::load_model(config, std::move(checkpoint), name, options.device.ordinal, on_load);
  } else {
    auto ops = std::make_unique<const CpuOps>(threads);
    CpuWeights on_cpu(config, std::move(checkpoint), name, *ops,
                      {options.weights, options.draft_weights}, on_load);
    on_cpu.kv_type = options.kv_cache.value_or(DType::kF32);
    model = std::make_unique<CpuModel>(std::move(on_cpu), std::move(ops));
  }
  return Engine(std::make_shared<const Impl>(std::move(model), std::move(tokenizer), threads,
                                             options.device));
}

Engine Engine::synthetic(const ModelConfig& config, const EngineOptions& options) {
  const FloatEnvironment ours;
  const int threads = thread_count(options.threads);
  check_options(options, config, "The model");
  if (options.heads) {
    throw Error(ErrorKind::kUsage, "A synthetic model has its own diffusion view; give no heads.");
  }
  if (options.device.kind == Device::Kind::kCuda) {
    return Engine(std::make_shared<const Impl>(cuda::random_model(config, options.device.ordinal),
                                               std::nullopt, threads, options.device));
  }
  const DType type = options.weights.value_or(DType::kBF16);
  auto ops = std::make_unique<const CpuOps>(threads);
  const PerView<DType> types = {type, options.draft_weights.value_or(type)};
  check_memory(CpuWeights::random_bytes(config, types, *ops), "The weights take");
  CpuWeights model = CpuWeights::random(config, types, *ops);
  model.kv_type = options.kv_cache.value_or(DType::kF32);
  return Engine(
      std::make_shared<const Impl>(std::make_unique<CpuModel>(std::move(model), std::move(ops)),
                                   std::nullopt, threads, options.device));
}

const ModelConfig& Engine::config() const {
  return impl_->model->config();
}
const Tokenizer* Engine::tokenizer() const {
  return impl_->tokenizer_or_null();
}
std::vector<DType> Engine::weight_types() const {
  return impl_->model->weight_types(View::kAutoregressive);
}
std::vector<DType> Engine::widened_types() const {
  return impl_->model->widened_types();
}
DType Engine::kv_cache() const {
  return impl_->model->kv_cache();
}
Device Engine::device() const {
  return impl_->device;
}
int Engine::threads() const {
  return impl_->threads;
}

std::vector<int32_t> Engine::encode(std::string_view text) const {
  if (!impl_->tokenizer) {
    throw Error(ErrorKind::kUsage, "This model has no tokenizer; give the prompt as token ids.");
  }
  return impl_->tokenizer->encode_prompt(text);
}

Generation Engine::generate(const Request& request) const {
  return std::move(generate(std::span(&request, 1)).front());
}

std::vector<Generation> Engine::generate(std::span<const Request> requests) const {
  const FloatEnvironment ours;
  impl_->check_process();
  const ModelConfig& config = impl_->model->config();
  size_t pages = 0;
  for (const Request& request : requests) pages += pages_for(config, request);
  const std::unique_ptr<Lane> lane = impl_->model->start(pages);
  std::vector<KvSequence> sequences;
  std::vector<std::unique_ptr<Job>> jobs;
  std::vector<Job*> active;
  sequences.reserve(requests.size());
  for (const Request& request : requests) {
    KvSequence& sequence = sequences.emplace_back(lane->pool());
    jobs.push_back(
        std::make_unique<Job>(*impl_->model, tokenizer(), impl_->policy_memory, sequence, request));
    active.push_back(jobs.back().get());
  }
  run_jobs(*lane, active);
  std::vector<Generation> results;
  for (const auto& job : jobs) results.push_back(std::move(*job).result());
  return results;
}

Session Engine::start_session() const {
  impl_->check_process();
  return Session(std::make_unique<Session::Impl>(impl_));
}

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Generation Session::generate(const Request& request) {
  const FloatEnvironment ours;
  Impl& s = *impl_;
  const Engine::Impl& engine = *s.engine;
  engine.check_process();
  // Before the cache is cropped: a refused request leaves the conversation as it was.
  check_request(engine.model->config(), request, engine.tokenizer_or_null());
  // The last prompt token is computed again even when it is cached: its logits are needed.
  const auto& prompt = request.prompt;
  const size_t most = std::min(s.cached_ids.size(), prompt.size() - 1);
  size_t common = 0;
  while (common < most && s.cached_ids[common] == prompt[common]) ++common;
  s.sequence.crop(static_cast<int>(common));
  s.cached_ids.resize(common);

  Job job(*engine.model, engine.tokenizer_or_null(), engine.policy_memory, s.sequence, request);
  Job* const jobs[] = {&job};
  run_jobs(*s.lane, jobs);
  Generation result = std::move(job).result();

  s.cached_ids = prompt;
  s.cached_ids.insert(s.cached_ids.end(), result.output_ids.begin(), result.output_ids.end());
  // Keys end before the last emitted token, and may go past a stop string.
  const auto valid = std::min(s.cached_ids.size(), static_cast<size_t>(s.sequence.length()));
  s.cached_ids.resize(valid);
  s.sequence.crop(static_cast<int>(valid));
  return result;
}

}  // namespace orthrus
