#include "checkpoint/huggingface/generation_config.h"

#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <span>

#include "checkpoint/limits.h"
#include "files/json_document.h"

namespace orthrus {
namespace {

using nlohmann::json;

constexpr double kMaxTemperature = 100;  // this and the next as SamplingParams
constexpr double kMaxRepetitionPenalty = 100;
constexpr double kMaxAddedPenalty = 2;
constexpr double kMinTopP = 1e-6;  // 0 would leave no token
constexpr double kMinRepetitionPenalty = 1e-6;

// Fields of transformers' GenerationConfig that would change a text, which are not obeyed, and the
// number with which they change nothing, or -1 where there is none; some versions write those out.
// null, false and what is empty change nothing either.
struct Unsupported {
  const char* field;
  int neutral;
};
constexpr Unsupported kUnsupported[] = {
    {"bad_words_ids", 0},
    {"begin_suppress_tokens", 0},
    {"constraints", 0},
    {"dola_layers", 0},
    {"encoder_no_repeat_ngram_size", 0},
    {"encoder_repetition_penalty", 1},
    {"exponential_decay_length_penalty", 0},
    {"force_words_ids", 0},
    {"forced_bos_token_id", -1},
    {"forced_decoder_ids", 0},
    {"forced_eos_token_id", -1},
    {"guidance_scale", 1},
    {"min_length", 0},
    {"min_new_tokens", 0},
    {"no_repeat_ngram_size", 0},
    {"num_beam_groups", 1},
    {"num_beams", 1},
    {"penalty_alpha", 0},
    {"sequence_bias", 0},
    {"token_healing", 0},
    {"watermarking_config", 0},
};
// Those that filter what is sampled from.
constexpr Unsupported kUnsupportedFilters[] = {
    {"epsilon_cutoff", 0},
    {"eta_cutoff", 0},
    {"top_h", 1},
    {"typical_p", 1},
};

float number_or(float fallback, const JsonFields& fields, std::string_view key, double low,
                double high) {
  return fields.find(key) == nullptr ? fallback : static_cast<float>(fields.number(key, low, high));
}

void read_sampling(const JsonFields& fields, SamplingParams& defaults) {
  defaults.temperature = number_or(1, fields, "temperature", 0, kMaxTemperature);
  if (fields.find("top_k") != nullptr) defaults.top_k = fields.integer("top_k", 0, limits::kVocab);
  defaults.top_p = number_or(1, fields, "top_p", kMinTopP, 1);
  defaults.min_p = number_or(0, fields, "min_p", 0, 1);
}

void read_penalties(const JsonFields& fields, SamplingParams& defaults) {
  defaults.repetition_penalty =
      number_or(1, fields, "repetition_penalty", kMinRepetitionPenalty, kMaxRepetitionPenalty);
  defaults.presence_penalty =
      number_or(0, fields, "presence_penalty", -kMaxAddedPenalty, kMaxAddedPenalty);
  defaults.frequency_penalty =
      number_or(0, fields, "frequency_penalty", -kMaxAddedPenalty, kMaxAddedPenalty);
}

void read_suppressed(const JsonFields& fields, ModelConfig& config) {
  const auto ids = fields.integers("suppress_tokens", config.vocab_size - 1);
  if (!ids) return;
  const std::set<int32_t> suppressed(ids->begin(), ids->end());
  if (suppressed.size() == static_cast<size_t>(config.vocab_size)) {
    fields.refuse("suppress_tokens", "some token of the vocabulary must be left");
  }
  for (const int32_t id : suppressed) {
    config.generation.logit_bias.push_back({id, -std::numeric_limits<float>::infinity()});
  }
}

void read_stop_strings(const JsonFields& fields, ModelConfig& config) {
  const json* value = fields.find("stop_strings");
  if (value == nullptr) return;
  for (const json& element : list_or_one(*value)) {
    if (!element.is_string() || is_text(element, "")) {
      return fields.refuse("stop_strings",
                           "it must be a string, or a list of strings, none of them empty");
    }
    config.stop_strings.push_back(element.get<std::string>());
  }
}

void warn_of(std::span<const Unsupported> unsupported, const JsonFields& fields,
             ModelConfig& config) {
  for (const auto& [field, neutral] : unsupported) {
    const json* value = fields.find(field);
    if (value == nullptr || *value == false || *value == neutral) continue;
    if (value->empty()) continue;
    config.warnings.push_back(
        fmt::format("{}; this is not supported and has no effect.", fields.statement(field)));
  }
}

}  // namespace

void read_generation_config(const JsonFields& fields, ModelConfig& config) {
  if (const auto ids = fields.integers("eos_token_id", config.vocab_size - 1)) {
    config.eos_token_ids = *ids;
  }
  const bool samples = fields.boolean("do_sample", false);
  if (samples) read_sampling(fields, config.generation);
  read_penalties(fields, config.generation);
  read_suppressed(fields, config);
  read_stop_strings(fields, config);
  warn_of(kUnsupported, fields, config);
  if (samples) warn_of(kUnsupportedFilters, fields, config);
}

}  // namespace orthrus
