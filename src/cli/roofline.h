// orthrus bench --roofline: what passes take against what the machine can do.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "cli/roofline_passes.h"
#include "orthrus/engine.h"

namespace orthrus::cli {

struct RooflineOptions {
  bool wanted = false;
  PassLists lists;
  std::optional<double> acceptance;  // accepted drafts a cycle, assumed

  CLI::Option* add_to(CLI::App& app);  // returns --roofline
};

// Prints a table, or with `json` one object. Returns the exit code. Throws Error(kUsage) for what
// the model has not, and as Engine::measure does.
int run_roofline(const Engine& engine, const std::string& name, const RooflineOptions& options,
                 int rounds, bool json);

}  // namespace orthrus::cli
