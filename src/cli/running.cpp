#include "cli/running.h"

#include <fmt/core.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/counted.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "orthrus/error.h"

namespace orthrus::cli {

namespace {

std::string label_of(LoadStage stage) {
  switch (stage) {
    case LoadStage::kChecking:
      return "Checking the weights";
    case LoadStage::kConverting:
      return "Converting the weights";
    case LoadStage::kMaking:
      break;
  }
  return "Making up weights";
}

// Those that drafts are made with, where they are others than the AR view's.
std::string drafts_apart(const Engine& engine) {
  const std::vector<DType> types = engine.weight_types(), drafts = engine.draft_weight_types();
  // Heads in a type that the file has anyway are nothing to tell.
  if (std::set(types.begin(), types.end()) == std::set(drafts.begin(), drafts.end())) return {};
  return drafts.empty() ? "" : fmt::format(", {} in drafts", names_of(drafts));
}

// What a device keeps as the file has it, and what not.
void tell_weights(const Engine& engine) {
  const std::vector<DType> types = engine.weight_types(), widened = engine.widened_types();
  const bool all_bf16 = types == std::vector{DType::kBF16};
  const std::string drafts = drafts_apart(engine);
  if (all_bf16 && drafts.empty() && widened.empty()) return;
  std::string line =
      fmt::format("weights: {}{} on {}", names_of(types), drafts, name_of(engine.device()));
  if (!widened.empty()) {
    line += all_bf16 ? ", widened from" : "; widened to BF16: all or some of";
    line += fmt::format(" the file's {}", names_of(widened));
  }
  write_error_stream(line + '\n');
}

}  // namespace

std::string weights_in_words(const Engine& engine) {
  return names_of(engine.weight_types()) + " weights" + drafts_apart(engine);
}

LoadProgress loading_progress() {
  struct Line {
    std::optional<LoadStage> stage;
    std::optional<Progress> progress;
  };
  return [line = std::make_shared<Line>()](LoadStage stage, size_t done, size_t total) {
    if (line->stage != stage) {
      line->progress.reset();
      line->progress.emplace(label_of(stage));
      line->stage = stage;
    }
    line->progress->update(static_cast<double>(done), static_cast<double>(total));
    if (done == total) line->progress->erase();
  };
}

ModelFiles open_model(const ModelOptions& options) {
  EngineOptions engine_options = options.engine_options();
  engine_options.on_load = loading_progress();
  return open_model(options.directory, engine_options);
}

ModelFiles open_model(const std::string& model, const EngineOptions& options) {
  ModelFiles files = ModelFiles::open(model, options);
  for (const std::string& warning : files.config().warnings) warn(warning);
  return files;
}

void warn(const std::optional<std::string>& warning) {
  if (warning) write_error_stream(fmt::format("warning: {}\n", *warning));
}

Engine load_engine(ModelFiles files) {
  Engine engine = Engine::load(std::move(files));
  if (!engine.device().is_cpu()) tell_weights(engine);
  return engine;
}

Engine load_engine(const ModelOptions& options) {
  return load_engine(open_model(options));
}

void watch(Request& request, const Interrupt& interrupt, std::function<bool(const Step&)> on_step) {
  const auto progress = std::make_shared<Progress>("Reading the prompt");
  request.on_prefill = [progress, &interrupt](int done, int total) {
    progress->update(done, total);
    if (done == total) progress->erase();
    return !interrupt.requested();
  };
  request.on_step = [&interrupt, on_step = std::move(on_step)](const Step& step) {
    const bool go_on = !on_step || on_step(step);
    return go_on && !interrupt.requested();
  };
}

void check_not_failed(const Generation& generation) {
  if (generation.finish_reason != FinishReason::kFailed) return;
  throw Error(ErrorKind::kSystem, fmt::format("Generation failed after {}: {}.",
                                              counted(generation.output_ids.size(), "token"),
                                              describe(generation.status)));
}

}  // namespace orthrus::cli
