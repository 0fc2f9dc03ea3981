#include "orthrus/engine.h"

#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <new>

#include "backends/backend.h"
#include "base/float_environment.h"
#include "engine/calls.h"
#include "engine/engine_impl.h"
#include "engine/model_files.h"
#include "engine/text.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

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

struct Session::Impl {
  explicit Impl(std::shared_ptr<const Engine::Impl> owner) : engine(std::move(owner)) {
    engine->scheduler();  // whether there is room is known now
  }

  std::shared_ptr<const Engine::Impl> engine;
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
                                             files.threads, options));
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
      threads, options));
}

const ModelConfig& Engine::config() const {
  return impl().config;
}
const Tokenizer* Engine::tokenizer() const {
  return impl().tokenizer_or_null();
}
std::vector<DType> Engine::weight_types() const {
  return impl().model->weight_types(View::kAutoregressive);
}
std::vector<DType> Engine::draft_weight_types() const {
  if (!impl().config.has_diffusion_view()) return {};
  return impl().model->weight_types(View::kDiffusion);
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
  return run_calls(*engine, requests);
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
  return std::move(run_calls(engine, std::span(&request, 1)).front());
}

}  // namespace orthrus
