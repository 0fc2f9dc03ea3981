#include "engine.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/as_written.h"
#include "base/sampling_settings.h"
#include "engine_options.h"
#include "host.h"
#include "orthrus/error.h"
#include "released.h"
#include "results.h"
#include "stream.h"
#include "tokenizer.h"

namespace nb = nanobind;

namespace orthrus::python {
namespace {

using Ids = nb::ndarray<const int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

struct EngineHandle {
  std::shared_ptr<Host> host;
  std::shared_ptr<AsyncEngine> engine() const { return host->engine(); }
};

std::string_view name_of_stage(LoadStage stage) {
  switch (stage) {
    case LoadStage::kChecking:
      return "checking";
    case LoadStage::kConverting:
      return "converting";
    case LoadStage::kMaking:
      break;
  }
  return "making";
}

// Tells Python's function how far loading is, and lets signals be handled, at most ten times a
// second and at the end of a stage.
LoadProgress progress_for(const nb::object& on_load) {
  using Clock = std::chrono::steady_clock;
  return
      [&on_load, next = Clock::time_point()](LoadStage stage, size_t done, size_t total) mutable {
        if (done != total && Clock::now() < next) return;
        next = Clock::now() + std::chrono::milliseconds(100);
        if (interpreter_ends()) throw Error(ErrorKind::kSystem, "The interpreter ends.");
        const nb::gil_scoped_acquire acquire;
        if (PyErr_CheckSignals() != 0) throw nb::python_error();
        if (!on_load.is_none()) on_load(name_of_stage(stage), done, total);
      };
}

EngineHandle load(const std::string& model, const std::optional<std::string>& heads,
                  const std::string& device, const std::optional<std::string>& weights,
                  const std::optional<std::string>& draft_weights,
                  const std::optional<std::string>& kv_cache, int threads, uint64_t cache_memory,
                  int max_batch, const nb::object& on_load) {
  EngineOptions options;
  options.device = parse_device(device);
  options.threads = threads;
  if (weights) options.weights = parse_choice("weights", *weights, weight_choices());
  if (draft_weights) {
    options.draft_weights = parse_choice("draft_weights", *draft_weights, weight_choices());
  }
  if (kv_cache) options.kv_cache = parse_choice("kv_cache", *kv_cache, kv_cache_choices());
  options.cache_memory = cache_memory;
  options.max_batch = max_batch;
  if (heads) options.heads = *heads;
  options.on_load = progress_for(on_load);
  const Released released;
  return {std::make_shared<Host>(Engine::load(model, options))};
}

std::vector<std::string> all_spelled(const std::vector<DType>& types) {
  std::vector<std::string> names;
  for (const DType type : types) names.push_back(spelled(type));
  return names;
}

nb::dict dict_of(const SamplingParams& s) {
  nb::dict sampling;
  put_sampling_settings(sampling, s);
  nb::dict biases;
  for (const TokenBias& bias : s.logit_bias) biases[nb::int_(bias.token)] = as_written(bias.bias);
  sampling["logit_bias"] = biases;
  return sampling;
}

nb::dict config_of(const EngineHandle& handle) {
  const std::shared_ptr<AsyncEngine> host = handle.engine();
  const Engine& engine = host->engine();
  const ModelConfig& c = engine.config();
  nb::dict config;
  config["architecture"] = c.architecture;
  config["name"] = c.name;
  config["dtype"] = c.dtype;
  config["vocab_size"] = c.vocab_size;
  config["hidden_size"] = c.hidden_size;
  config["intermediate_size"] = c.intermediate_size;
  config["num_hidden_layers"] = c.num_hidden_layers;
  config["num_attention_heads"] = c.num_attention_heads;
  config["num_key_value_heads"] = c.num_key_value_heads;
  config["head_dim"] = c.head_dim;
  config["rms_norm_eps"] = as_written(c.rms_norm_eps);
  config["rope_theta"] = c.rope_theta;
  config["max_position_embeddings"] = c.max_position_embeddings;
  config["tie_word_embeddings"] = c.tie_word_embeddings;
  config["eos_token_ids"] = nb::tuple(nb::cast(c.eos_token_ids));
  config["stop_strings"] = nb::tuple(nb::cast(c.stop_strings));
  config["warnings"] = nb::tuple(nb::cast(c.warnings));
  config["block_size"] = c.block_size;
  config["mask_token_id"] = c.mask_token_id;
  config["pair_rank"] = c.pair_rank;
  config["weight_types"] = nb::tuple(nb::cast(all_spelled(engine.weight_types())));
  config["draft_weight_types"] = nb::tuple(nb::cast(all_spelled(engine.draft_weight_types())));
  config["widened_types"] = nb::tuple(nb::cast(all_spelled(engine.widened_types())));
  config["kv_cache"] = spelled(engine.kv_cache());
  config["device"] = name_of(engine.device());
  config["threads"] = engine.threads();
  return config;
}

nb::dict load_of(const EngineHandle& handle) {
  const EngineLoad l = handle.engine()->load();
  nb::dict load;
  load["batch"] = l.batch;
  load["running"] = l.running;
  load["waiting"] = l.waiting;
  load["cache_pages"] = l.cache_pages;
  load["pages_in_use"] = l.pages_in_use;
  load["cached_pages"] = l.cached_pages;
  load["prefix_queries"] = l.prefix_queries;
  load["prefix_hits"] = l.prefix_hits;
  load["preemptions"] = l.preemptions;
  return load;
}

std::unique_ptr<Stream> submit(const EngineHandle& handle, const Ids& prompt,
                               const GenerateOptions& options, bool steps,
                               const std::optional<WakerHandle>& waker, uint64_t key) {
  Request request;
  request.prompt.assign(prompt.data(), prompt.data() + prompt.size());
  request.options = options;
  Listener listener;
  if (waker) listener = {waker->waker, key};
  const Released released;
  return std::make_unique<Stream>(handle.host, std::move(request), steps, std::move(listener));
}

}  // namespace

void bind_engine(nb::module_& module) {
  module.def("cuda_devices", &cuda_devices);
  module.def("close_all", &Host::close_all, nb::call_guard<Released>());
  module.def("await_released", &await_released);
  nb::class_<EngineHandle>(module, "Engine")
      .def("submit", &submit, nb::arg("prompt"), nb::arg("options"), nb::arg("steps"),
           nb::arg("waker").none(), nb::arg("key"))
      .def("config", &config_of)
      .def("generation",
           [](const EngineHandle& e) { return dict_of(e.engine()->engine().config().generation); })
      .def("load", &load_of)
      .def("has_tokenizer",
           [](const EngineHandle& e) { return e.engine()->engine().tokenizer() != nullptr; })
      .def("tokenizer", [](const EngineHandle& e) { return TokenizerHandle(e.host); })
      .def("closed", [](const EngineHandle& e) { return e.host->closed(); })
      .def(
          "close", [](const EngineHandle& e) { e.host->close(); }, nb::call_guard<Released>());
  module.def("load_engine", &load, nb::arg("model"), nb::arg("heads").none(), nb::arg("device"),
             nb::arg("weights").none(), nb::arg("draft_weights").none(), nb::arg("kv_cache").none(),
             nb::arg("threads"), nb::arg("cache_memory"), nb::arg("max_batch"),
             nb::arg("on_load").none());
}

}  // namespace orthrus::python
