#include "cli/bench_settings.h"

#include <algorithm>

#include "base/sampling_settings.h"
#include "cli/version.h"
#include "orthrus/inspect.h"
#include "orthrus/measure.h"

namespace orthrus::cli {

std::string heads_in_use(const ModelOptions& options) {
  const CheckpointInfo info = inspect(options.directory, options.heads);
  return info.heads ? info.heads->file : own_heads(info.config);
}

std::string own_heads(const ModelConfig& config) {
  return config.has_diffusion_view() ? "the model's own" : "none";
}

nlohmann::ordered_json engine_settings(const Engine& engine, const std::string& model,
                                       const std::string& heads) {
  const std::vector<DType> drafts = engine.draft_weight_types();
  return {{"model", model},
          {"architecture", engine.config().architecture},
          {"heads", heads},
          {"weights", names_of(engine.weight_types())},
          {"draft_weights", drafts.empty() ? "none" : names_of(drafts)},
          {"kv_cache", name_of(engine.kv_cache())},
          {"device", name_of(engine.device())},
          {"threads", engine.threads()},
          {"kernels", engine.device().is_cpu() ? kernels_in_use() : "the device's"},
          {"version", version_number()}};
}

nlohmann::ordered_json decoding_settings(const ModelConfig& config,
                                         const GenerateOptions& options) {
  const Mode mode = options.mode.value_or(Mode::kAuto);
  const int block_size = options.block_size > 0 ? options.block_size : config.block_size;
  const bool has_trees = block_size > 1 && mode == Mode::kAuto;
  nlohmann::ordered_json settings = {
      {"mode", name_of(mode)},
      {"block_size", block_size},  // 0: no diffusion view
      {"tree_nodes", options.tree_nodes.value_or(has_trees ? kUsualTreeNodes : 0)},
      {"lookup", mode == Mode::kAuto && options.lookup},
      {"max_tokens", options.max_tokens},
      {"ignore_eos", options.ignore_eos}};
  put_sampling_settings(settings, options.sampling);
  settings["seed"] = options.sampling.seed;
  return settings;
}

std::vector<std::pair<std::string, std::string>> settings_in_words(
    const nlohmann::ordered_json& settings) {
  std::vector<std::pair<std::string, std::string>> words;
  for (const auto& [key, value] : settings.items()) {
    std::string name = key;
    std::ranges::replace(name, '_', ' ');
    words.emplace_back(name, value.is_string()    ? value.get<std::string>()
                             : value.is_boolean() ? (value.get<bool>() ? "yes" : "no")
                                                  : value.dump());
  }
  return words;
}

}  // namespace orthrus::cli
