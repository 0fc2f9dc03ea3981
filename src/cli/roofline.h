// orthrus bench --roofline: what passes take against what the machine can do.
#pragma once

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "cli/interrupt.h"
#include "cli/roofline_passes.h"
#include "orthrus/engine.h"

namespace orthrus::cli {

struct RooflineOptions {
  bool wanted = false;
  PassLists lists;
  std::optional<double> acceptance;  // accepted drafts a cycle, assumed

  CLI::Option* add_to(CLI::App& app);  // returns --roofline
};

// Prints a table, or with `json` one object that begins with `settings`, the engine's; nothing
// after `interrupt`. Returns the exit code. Throws Error(kUsage) for what the model has not, and as
// Engine::measure does.
int run_roofline(const Engine& engine, nlohmann::ordered_json settings,
                 const RooflineOptions& options, int rounds, bool json, const Interrupt& interrupt);

}  // namespace orthrus::cli
