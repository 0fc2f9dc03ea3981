#include "cli/running.h"

#include <fmt/core.h>

#include <memory>
#include <utility>
#include <vector>

#include "cli/terminal.h"
#include "orthrus/error.h"

namespace orthrus::cli {

Engine load_engine(const ModelOptions& options) {
  Progress progress("Checking the weights");
  EngineOptions engine_options = options.engine_options();
  engine_options.on_load = [&progress](size_t done, size_t total) {
    progress.update(static_cast<double>(done), static_cast<double>(total));
  };
  Engine engine = Engine::load(options.directory, engine_options);
  progress.erase();
  if (const std::vector<DType> types = engine.widened_types(); !types.empty()) {
    fmt::print(stderr, "weights: BF16 on {}, widened from the file's {}\n",
               name_of(engine.device()), names_of(types));
  }
  return engine;
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
  throw Error(ErrorKind::kSystem,
              fmt::format("Generation failed after {} tokens: {}.", generation.output_ids.size(),
                          describe(generation.status)));
}

}  // namespace orthrus::cli
