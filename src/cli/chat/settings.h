// How replies are generated: the command's options, which /set changes from turn to turn.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "cli/options.h"

namespace orthrus::cli {

class ChatSettings {
 public:
  ChatSettings() { decoding_.sampling.seed.draw(); }

  // The options, by the names that /set knows them by without their dashes. This must outlive the
  // parsing.
  void add_to(CLI::App& app);

  // What /set NAME VALUE does; `name` may have underscores for dashes. Throws Error(kUsage), and
  // changes nothing, for an unknown name, naming the nearest, and for a value out of range.
  void set(std::string_view name, const std::string& value);

  // Each name with its value, one a line; `config` has the checkpoint's defaults.
  std::string table(const ModelConfig& config) const;
  // One of them, with what it means. Throws as set.
  std::string line(std::string_view name, const ModelConfig& config) const;

  GenerateOptions resolve(const ModelConfig& config) const;

  const SeedOption& seed() const { return decoding_.sampling.seed; }
  void next_seed() { ++decoding_.sampling.seed.value; }

 private:
  DecodingOptions decoding_;
  int max_tokens_ = 2048;
  std::vector<std::string> stop_;
};

}  // namespace orthrus::cli
