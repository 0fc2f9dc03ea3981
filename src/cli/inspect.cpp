// orthrus inspect: what a checkpoint is made of.
#include "orthrus/inspect.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "base/as_written.h"
#include "base/sampling_settings.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/prompt_source.h"
#include "cli/report.h"
#include "cli/text.h"

namespace orthrus::cli {
namespace {

constexpr const char* kExamples = R"(EXAMPLES
  orthrus inspect -m models/tiny-code
  orthrus inspect -m model.gguf --heads heads.gguf --tensors
  orthrus inspect -m models/tiny-code --json | python3 -m json.tool

Reads and checks the configuration and the headers of the weights, not their values.)";

struct Options {
  std::string model;
  std::optional<std::string> heads;
  bool tensors = false;
  bool json = false;
};

int64_t cache_bytes_of_context(const CheckpointInfo& info) {
  return info.cache_bytes_per_token * info.config.max_position_embeddings;
}

std::string shape_in_words(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t size : shape) text += (text.empty() ? "" : " x ") + std::to_string(size);
  return text;
}

std::string row(std::string_view label, const std::string& value) {
  return fmt::format("{:<17}{}\n", label, value);
}

std::vector<int32_t> suppressed(const SamplingParams& sampling) {
  std::vector<int32_t> ids;
  for (const auto& [token, bias] : sampling.logit_bias) {
    if (std::isinf(bias)) ids.push_back(token);
  }
  return ids;
}

// What generation_config.json asks for, beyond what asks for nothing.
std::string suggestions(const ModelConfig& config) {
  const SamplingParams& s = config.generation;
  std::string text = s.temperature > 0 ? fmt::format("temperature {}, top-k {}, top-p {}, min-p {}",
                                                     s.temperature, s.top_k, s.top_p, s.min_p)
                                       : "greedy decoding";
  const auto penalty = [&text](std::string_view name, float value, float none) {
    if (value != none) text += fmt::format(", {} penalty {}", name, value);
  };
  penalty("repetition", s.repetition_penalty, 1);
  penalty("presence", s.presence_penalty, 0);
  penalty("frequency", s.frequency_penalty, 0);
  if (const auto ids = suppressed(s); !ids.empty()) {
    text += fmt::format(", {} suppressed", counted(ids.size(), "token"));
  }
  for (const std::string& stop : config.stop_strings) text += ", stop at " + in_quotes(stop);
  return text;
}

std::string diffusion_view(const ModelConfig& config) {
  if (!config.has_diffusion_view()) return "none";
  std::string text =
      fmt::format("blocks of up to {} tokens, mask id {}", config.block_size, config.mask_token_id);
  if (config.pair_rank > 0) text += fmt::format(", pairwise term of rank {}", config.pair_rank);
  return text;
}

std::string configuration(const ModelConfig& config) {
  std::string text;
  if (!config.name.empty()) text += row("name", without_controls(config.name));
  text += row("architecture", without_controls(config.architecture));
  if (!config.dtype.empty()) text += row("dtype", without_controls(config.dtype));
  text += row("layers", fmt::format("{}, of width {}, MLP of width {}", config.num_hidden_layers,
                                    config.hidden_size, config.intermediate_size));
  text += row("attention",
              fmt::format("{} query heads, {} key-value heads, of width {}",
                          config.num_attention_heads, config.num_key_value_heads, config.head_dim));
  text += row("vocabulary",
              fmt::format("{} ids, LM head {}", with_commas(config.vocab_size),
                          config.tie_word_embeddings ? "tied to the embedding" : "of its own"));
  text +=
      row("context", fmt::format("{} tokens, RoPE base {}",
                                 with_commas(config.max_position_embeddings), config.rope_theta));
  text += row("diffusion view", diffusion_view(config));
  text += row("end of sequence",
              config.eos_token_ids.empty() ? "none" : "id " + ids_in_words(config.eos_token_ids));
  text += row("suggests", suggestions(config));
  for (const std::string& warning : config.warnings) text += row("warning", warning);
  return text;
}

std::string tokenizer(const CheckpointInfo& info) {
  if (!info.has_tokenizer) return "none";
  if (!info.vocabulary) return "tokenizer.json";
  const VocabularyInfo& vocabulary = *info.vocabulary;
  return fmt::format(
      "{} tokens, {} merges, split as {}, {}", with_commas(vocabulary.tokens),
      with_commas(vocabulary.merges), without_controls(vocabulary.pre),
      vocabulary.adds_bos ? fmt::format("BOS {} added", vocabulary.bos_token_id) : "no BOS added");
}

std::string heads(const HeadsInfo& heads) {
  return fmt::format("{}{}: {} parameters, {}", without_controls(heads.file),
                     heads.base.empty() ? "" : ", for " + as_typed(heads.base),
                     with_commas(heads.parameters), bytes_in_words(heads.bytes));
}

std::string text_and_heads(const CheckpointInfo& info) {
  std::string text = row("tokenizer", tokenizer(info));
  text += row("chat format", std::string(name_of(info.chat_format)));
  if (info.heads) text += row("heads", heads(*info.heads));
  return text;
}

// How a tensor or some of them are stored.
template <typename Stored>
std::string format_of(const Stored& stored) {
  return stored.encoding.empty() ? std::string(name_of(stored.type)) : stored.encoding;
}

size_t widest_format(const CheckpointInfo& info) {
  size_t width = 0;
  for (const FormatInfo& format : info.formats) width = std::max(width, format_of(format).size());
  return width;
}

std::string formats(const CheckpointInfo& info) {
  const size_t width = std::max<size_t>(16, widest_format(info) + 1);
  std::string text = fmt::format("{:<{}}{:>10}{:>17}{:>14}\n", "format", width, "tensors",
                                 "parameters", "weights");
  for (const FormatInfo& format : info.formats) {
    text += fmt::format("{:<{}}{:>10}{:>17}{:>14}\n", format_of(format), width, format.tensors,
                        with_commas(format.parameters), bytes_in_words(format.bytes));
  }
  return text;
}

std::string part_row(const PartInfo& part) {
  return fmt::format("{:<26}{:>17}{:>14}\n", part.name, with_commas(part.parameters),
                     bytes_in_words(part.bytes));
}

std::string parts(const CheckpointInfo& info) {
  std::string text = fmt::format("{:<26}{:>17}{:>14}\n", "part", "parameters", "weights");
  for (const PartInfo& part : info.parts) text += part_row(part);
  text += part_row(info.total) + "\n";
  text += fmt::format("{:<26}{:>17}{:>14}\n", "used by a pass of", "parameters", "weights");
  text += part_row(info.ar_view);
  if (info.config.has_diffusion_view()) text += part_row(info.diffusion_view);
  return text;
}

std::string tensors(const CheckpointInfo& info) {
  const size_t width = std::max<size_t>(6, widest_format(info));
  std::string text;
  for (const TensorInfo& tensor : info.tensors) {
    text += fmt::format("{:<56} {:<{}}{:>16}{:>14}  {}\n", tensor.name, format_of(tensor), width,
                        shape_in_words(tensor.shape), with_commas(tensor.parameters), tensor.part);
  }
  return text;
}

std::string describe(const CheckpointInfo& info, bool with_tensors) {
  std::string text = configuration(info.config) + text_and_heads(info) + "\n" + formats(info) +
                     "\n" + parts(info) + "\n";
  text += row("cache", fmt::format("{} a token, {} at the full context",
                                   bytes_in_words(info.cache_bytes_per_token),
                                   bytes_in_words(cache_bytes_of_context(info))));
  if (with_tensors) text += "\n" + tensors(info);
  return text;
}

nlohmann::ordered_json to_json(const PartInfo& part) {
  return {{"name", part.name}, {"parameters", part.parameters}, {"bytes", part.bytes}};
}

nlohmann::ordered_json to_json(const ModelConfig& config) {
  nlohmann::ordered_json generation;
  put_sampling_settings(generation, config.generation);
  generation["suppress_tokens"] = suppressed(config.generation);
  generation["stop_strings"] = config.stop_strings;
  return {{"architecture", config.architecture},
          {"name", config.name},
          {"dtype", config.dtype},
          {"vocab_size", config.vocab_size},
          {"hidden_size", config.hidden_size},
          {"intermediate_size", config.intermediate_size},
          {"num_hidden_layers", config.num_hidden_layers},
          {"num_attention_heads", config.num_attention_heads},
          {"num_key_value_heads", config.num_key_value_heads},
          {"head_dim", config.head_dim},
          {"rms_norm_eps", as_written(config.rms_norm_eps)},
          {"rope_theta", config.rope_theta},
          {"max_position_embeddings", config.max_position_embeddings},
          {"tie_word_embeddings", config.tie_word_embeddings},
          {"has_qk_norm", config.has_qk_norm},
          {"has_qkv_bias", config.has_qkv_bias},
          {"eos_token_ids", config.eos_token_ids},
          {"block_size", config.block_size},
          {"mask_token_id", config.mask_token_id},
          {"pair_rank", config.pair_rank},
          {"generation", std::move(generation)},
          {"warnings", config.warnings}};
}

nlohmann::ordered_json to_json(const VocabularyInfo& vocabulary) {
  return {{"tokens", vocabulary.tokens},
          {"merges", vocabulary.merges},
          {"pre", vocabulary.pre},
          {"bos_token_id", vocabulary.bos_token_id},
          {"adds_bos", vocabulary.adds_bos}};
}

nlohmann::ordered_json to_json(const HeadsInfo& heads) {
  return {{"file", heads.file},
          {"base", heads.base},
          {"parameters", heads.parameters},
          {"bytes", heads.bytes}};
}

nlohmann::ordered_json to_json(const CheckpointInfo& info) {
  nlohmann::ordered_json json = {{"config", to_json(info.config)}};
  json["parts"] = nlohmann::ordered_json::array();
  for (const PartInfo& part : info.parts) json["parts"].push_back(to_json(part));
  json["total"] = to_json(info.total);
  json["ar_view"] = to_json(info.ar_view);
  json["diffusion_view"] =
      info.config.has_diffusion_view() ? to_json(info.diffusion_view) : nlohmann::ordered_json();
  json["formats"] = nlohmann::ordered_json::array();
  for (const FormatInfo& format : info.formats) {
    json["formats"].push_back({{"dtype", name_of(format.type)},
                               {"encoding", format.encoding},
                               {"tensors", format.tensors},
                               {"parameters", format.parameters},
                               {"bytes", format.bytes}});
  }
  json["has_tokenizer"] = info.has_tokenizer;
  json["vocabulary"] = info.vocabulary ? to_json(*info.vocabulary) : nlohmann::ordered_json();
  json["chat_format"] = name_of(info.chat_format);
  json["heads"] = info.heads ? to_json(*info.heads) : nlohmann::ordered_json();
  json["cache_bytes_per_token"] = info.cache_bytes_per_token;
  json["cache_bytes_of_context"] = cache_bytes_of_context(info);
  json["tensors"] = nlohmann::ordered_json::array();
  for (const TensorInfo& tensor : info.tensors) {
    json["tensors"].push_back({{"name", tensor.name},
                               {"part", tensor.part},
                               {"dtype", name_of(tensor.type)},
                               {"encoding", tensor.encoding},
                               {"shape", tensor.shape},
                               {"parameters", tensor.parameters},
                               {"bytes", tensor.bytes}});
  }
  return json;
}

int run(const Options& options) {
  std::optional<std::filesystem::path> heads;
  if (options.heads) heads = *options.heads;
  const CheckpointInfo info = orthrus::inspect(options.model, heads);
  Output output;
  output.write(options.json ? json_line(to_json(info)) : describe(info, options.tensors));
  return output.finish(kSuccess);
}

}  // namespace

Command add_inspect(CLI::App& root) {
  const auto options = std::make_shared<Options>();
  CLI::App& app =
      *root.add_subcommand("inspect", "Tell a checkpoint's configuration, parameters and memory");
  refuse_empty(app.add_option("-m,--model", options->model, "A GGUF file, or a directory")
                   ->type_name("MODEL")
                   ->required());
  add_heads(app, options->heads);
  app.add_flag("--tensors", options->tensors, "List the tensors, too");
  app.add_flag("--json", options->json, "Print one JSON object, which always lists the tensors");
  app.footer(kExamples);
  return {&app, [options] { return run(*options); }};
}

}  // namespace orthrus::cli
