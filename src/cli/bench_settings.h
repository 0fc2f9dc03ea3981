// What decides the results of `orthrus bench`: said by --json, by the page of --report, and by what
// --roofline measures.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/options.h"
#include "orthrus/engine.h"

namespace orthrus::cli {

// What is measured: a model, as it was loaded. `heads`: as heads_in_use says.
nlohmann::ordered_json engine_settings(const Engine& engine, const std::string& model,
                                       const std::string& heads);

// The file of the diffusion view's attention, or own_heads. Opens the model.
std::string heads_in_use(const ModelOptions& options);
// "the model's own", or "none".
std::string own_heads(const ModelConfig& config);

// How it decodes: `options` are those of the mode that drafts, where there is one.
nlohmann::ordered_json decoding_settings(const ModelConfig& config, const GenerateOptions& options);

// The same for people: names and values.
std::vector<std::pair<std::string, std::string>> settings_in_words(
    const nlohmann::ordered_json& settings);

}  // namespace orthrus::cli
