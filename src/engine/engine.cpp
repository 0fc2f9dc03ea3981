#include "orthrus/engine.h"

#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <new>

#include "backends/backend.h"
#include "base/float_environment.h"
#include "engine/engine_impl.h"
#include "engine/job.h"
#include "engine/model_files.h"
#include "engine/request.h"
#include "engine/scheduler.h"
#include "engine/text.h"
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

// For code that computes in our floating-point environment, while on_load knows its own.
EngineOptions for_backend(const EngineOptions& options, int threads) {
  EngineOptions resolved = options;
  resolved.threads = threads;
  if (options.on_load) {
    resolved.on_load = [&options](LoadStage stage, size_t done, size_t total) {
      const CallersFloatEnvironment callers;
      options.on_load(stage, done, total);
    };
  }
  return resolved;
}

}  // namespace

int cuda_devices() {
  return backend_of(Device::Kind::kCuda).devices();
}

void Engine::Impl::run(Lane& lane, std::span<Job* const> jobs) const {
  if (device_lost) {
    for (Job* job : jobs) job->fail(Status::kDeviceLost);
  } else if (run_jobs(lane, jobs) == Status::kDeviceLost) {
    device_lost = true;
  }
}

struct Session::Impl {
  explicit Impl(std::shared_ptr<const Engine::Impl> owner)
      : engine(std::move(owner)),
        lane(engine->start(pages_for(engine->model->config().max_position_embeddings))) {}

  std::shared_ptr<const Engine::Impl> engine;
  std::unique_ptr<Lane> lane;
  KvSequence sequence{lane->pool()};
  std::vector<int32_t> cached_ids;  // whose keys `sequence` holds
  std::atomic_flag generating;
};

namespace {

// The one use of a session at a time.
class Generating {
 public:
  explicit Generating(std::atomic_flag& flag) : flag_(&flag) {
    if (flag.test_and_set()) {
      throw Error(ErrorKind::kUsage,
                  "This session is generating: neither its own callbacks nor another thread can "
                  "use it until that has ended. Another session or Engine::generate can.");
    }
  }
  ~Generating() { flag_->clear(); }
  Generating(const Generating&) = delete;
  Generating& operator=(const Generating&) = delete;

 private:
  std::atomic_flag* flag_;
};

Generation failed(Status status) {
  Generation generation;
  generation.finish_reason = FinishReason::kFailed;
  generation.status = status;
  return generation;
}

}  // namespace

Engine::Engine(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;
Engine::~Engine() = default;

const Engine::Impl& Engine::impl() const {
  if (impl_ == nullptr) throw Error(ErrorKind::kUsage, "This engine was moved from.");
  return *impl_;
}

Engine Engine::load(const std::filesystem::path& path, const EngineOptions& options) {
  return load(ModelFiles::open(path, options));
}

Engine Engine::load(ModelFiles opened) {
  const FloatEnvironment ours;
  ModelFiles::Impl& files = opened.impl();
  const EngineOptions& options = files.options;
  std::unique_ptr<const DeviceModel> model =
      backend_of(options.device.kind)
          .load(std::move(files.checkpoint), for_backend(options, files.threads));
  return Engine(std::make_shared<const Impl>(std::move(model), std::move(files.tokenizer),
                                             files.threads, options.device));
}

Engine Engine::synthetic(const ModelConfig& config, const EngineOptions& options) {
  const FloatEnvironment ours;
  const int threads = thread_count(options.threads);
  check_options(options, config, "The model");
  if (options.heads) {
    throw Error(ErrorKind::kUsage, "A synthetic model has its own diffusion view; give no heads.");
  }
  return Engine(std::make_shared<const Impl>(
      backend_of(options.device.kind).random(config, for_backend(options, threads)), std::nullopt,
      threads, options.device));
}

const ModelConfig& Engine::config() const {
  return impl().model->config();
}
const Tokenizer* Engine::tokenizer() const {
  return impl().tokenizer_or_null();
}
std::vector<DType> Engine::weight_types() const {
  return impl().model->weight_types(View::kAutoregressive);
}
std::vector<DType> Engine::widened_types() const {
  return impl().model->widened_types();
}
DType Engine::kv_cache() const {
  return impl().model->kv_cache();
}
Device Engine::device() const {
  return impl().device;
}
int Engine::threads() const {
  return impl().threads;
}

std::vector<int32_t> Engine::encode(std::string_view text) const {
  return encode_with(tokenizer(), text);
}

Generation Engine::generate(const Request& request) const {
  return std::move(generate(std::span(&request, 1)).front());
}

std::vector<Generation> Engine::generate(std::span<const Request> requests) const {
  const FloatEnvironment ours;
  impl().check_process();
  const std::shared_ptr<const Impl> engine = impl_;  // a callback may destroy the Engine
  const ModelConfig& config = engine->model->config();
  const Tokenizer* const tokenizer = engine->tokenizer_or_null();
  size_t pages = 0;
  for (const Request& request : requests) {
    check_request(config, request, tokenizer);
    pages += pages_for(config, request);
  }
  std::unique_ptr<Lane> lane;
  try {
    lane = engine->start(pages);
  } catch (const DeviceLost&) {
    return std::vector<Generation>(requests.size(), failed(Status::kDeviceLost));
  }
  std::vector<KvSequence> sequences;
  std::vector<std::unique_ptr<Job>> jobs;
  std::vector<Job*> active;
  sequences.reserve(requests.size());
  for (const Request& request : requests) {
    KvSequence& sequence = sequences.emplace_back(lane->pool());
    jobs.push_back(
        std::make_unique<Job>(*engine->model, tokenizer, engine->policy_memory, sequence, request));
    active.push_back(jobs.back().get());
  }
  engine->run(*lane, active);
  std::vector<Generation> results;
  for (const auto& job : jobs) results.push_back(std::move(*job).result());
  return results;
}

Session Engine::start_session() const {
  impl().check_process();
  return Session(std::make_shared<Session::Impl>(impl_));
}

Session::Session(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Generation Session::generate(const Request& request) {
  const FloatEnvironment ours;
  if (impl_ == nullptr) throw Error(ErrorKind::kUsage, "This session was moved from.");
  const std::shared_ptr<Impl> own = impl_;  // a callback may destroy the Session
  Impl& s = *own;
  const Generating generating(s.generating);
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
  engine.run(*s.lane, jobs);
  Generation result = std::move(job).result();

  std::vector<int32_t> ids = prompt;
  ids.insert(ids.end(), result.output_ids.begin(), result.output_ids.end());
  // Keys end before the last emitted token, and may go past a stop string.
  ids.resize(std::min(ids.size(), static_cast<size_t>(s.sequence.length())));
  s.sequence.crop(static_cast<int>(ids.size()));
  s.cached_ids = std::move(ids);
  return result;
}

}  // namespace orthrus
