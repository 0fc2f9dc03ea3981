// The subcommands of `orthrus`, each in the file of its name.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "cli/exit_code.h"

namespace orthrus::cli {

struct Command {
  CLI::App* app;             // parses its options
  std::function<int()> run;  // after parsing; returns the exit code
};

Command add_generate(CLI::App& root);
Command add_chat(CLI::App& root);
Command add_inspect(CLI::App& root);
Command add_tokenize(CLI::App& root);
Command add_bench(CLI::App& root);
Command add_perplexity(CLI::App& root);
Command add_serve(CLI::App& root);  // of builds with the server

}  // namespace orthrus::cli
