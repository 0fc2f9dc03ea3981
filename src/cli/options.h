// Options that several subcommands share.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "cli/numbers.h"
#include "cli/terminal.h"
#include "orthrus/engine.h"

namespace orthrus::cli {

// Refuses an empty name of a file or directory, or an empty text: mostly a variable that was not
// set.
void refuse_empty(CLI::Option* option);

// Each adds one option to `app`. A value outside its range is an Error(kUsage) that names it. What
// is given must outlive the parsing.
CLI::Option* add_count(CLI::App& app, const std::string& flags, int& value,
                       const std::string& description, int most = 2147483647);  // from 1
CLI::Option* add_whole_number(CLI::App& app, const std::string& flags, int& value, Range<int> range,
                              const std::string& description);
// Bytes, as "4GiB", "512MiB" or "1000000".
CLI::Option* add_size(CLI::App& app, const std::string& flags, uint64_t& bytes,
                      const std::string& description);
void add_block_size(CLI::App& app, int& block_size);
void add_tree_nodes(CLI::App& app, std::optional<int>& nodes);
void add_lookup(CLI::App& app, bool& lookup);
void add_color(CLI::App& app, ColorChoice& color);
void add_heads(CLI::App& app, std::optional<std::string>& heads);

struct ModelOptions {
  std::string directory;
  std::optional<std::string> heads;
  Device device;
  int threads = 0;
  std::optional<WeightType> weights;
  std::optional<WeightType> draft_weights;
  std::optional<DType> kv_cache;

  void add_to(CLI::App& app);  // the model is required
  void add_to(CLI::App& app, bool required);

  EngineOptions engine_options() const;
};

// --seed: a number, or the word random, which draws one.
struct SeedOption {
  uint64_t value = 0;
  bool drawn = false;

  // A drawn seed is to be told, so that the run can be repeated.
  std::optional<uint64_t> if_drawn() const { return drawn ? std::optional(value) : std::nullopt; }
  void draw();  // before add_to: random is the default
  void add_to(CLI::App& app, const std::string& group);
};

struct SamplingOptions {
  std::optional<float> temperature, top_p, min_p;
  std::optional<int> top_k;
  std::optional<float> repetition_penalty, presence_penalty, frequency_penalty;
  SeedOption seed;

  void add_to(CLI::App& app);
  SamplingParams resolve(const SamplingParams& defaults) const;
};

struct DecodingOptions {
  SamplingOptions sampling;
  std::optional<Mode> mode;
  int block_size = 0;
  std::optional<int> tree_nodes;
  bool lookup = true;
  AcceptRule accept = AcceptRule::kMatch;
  int prefill_chunk = 0;

  void add_to(CLI::App& app);
  GenerateOptions resolve(const ModelConfig& config) const;
};

}  // namespace orthrus::cli
