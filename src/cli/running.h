// Loading a checkpoint and running a request, with what a person at a terminal expects.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "cli/interrupt.h"
#include "cli/options.h"
#include "orthrus/engine.h"

namespace orthrus::cli {

// With the model's warnings, and progress later, on standard error.
ModelFiles open_model(const ModelOptions& options);
ModelFiles open_model(const std::string& model, const EngineOptions& options);
// On standard error, where there is one.
void warn(const std::optional<std::string>& warning);
// With progress on standard error.
Engine load_engine(ModelFiles files);
Engine load_engine(const ModelOptions& options);

// "Q4_K weights", or "BF16 weights, Q8_0 in drafts" where drafts are made with others.
std::string weights_in_words(const Engine& engine);

// What is shown while a model is loaded, or made up.
LoadProgress loading_progress();

// Sets the request's callbacks: `on_step` after each pass that emitted tokens, progress while the
// prompt is read, an end where `interrupt` is requested. `interrupt` must outlive the request.
void watch(Request& request, const Interrupt& interrupt,
           std::function<bool(const Step&)> on_step = {});

// Throws Error(kSystem) when the generation failed.
void check_not_failed(const Generation& generation);

}  // namespace orthrus::cli
