// orthrus bench --roofline: what passes take against what the machine can do.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "orthrus/engine.h"

namespace orthrus::cli {

struct RooflineOptions {
  bool wanted = false;
  std::string rows = "1,2,4,8,16,32,256";
  int context = 512;

  CLI::Option* add_to(CLI::App& app);  // returns --roofline
};

// Prints a table, or with `json` one object. Returns the exit code.
int run_roofline(const Engine& engine, const std::string& name, const RooflineOptions& options,
                 int rounds, bool json);

}  // namespace orthrus::cli
