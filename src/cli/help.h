// What --help prints.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace orthrus::cli {

// The columns that a person sees: what COLUMNS says, else the terminal, else 80.
int terminal_columns();

// What `app` is, its options by groups, its commands and its footer, in lines of `columns` at most
// where words allow it.
std::string help_of(const CLI::App& app, int columns);

}  // namespace orthrus::cli
