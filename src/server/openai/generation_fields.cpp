#include "server/openai/generation_fields.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <random>
#include <utility>

#include "files/display.h"
#include "server/openai/token_trace.h"

namespace orthrus::server::openai {
namespace {

constexpr int kMostInt = std::numeric_limits<int>::max();
constexpr int kMostChoices = 128;
// What bounds the work of looking for stop strings in a text.
constexpr size_t kMostStops = 32;
constexpr size_t kMostStopCharacters = 1024;
constexpr size_t kMostStopIds = 1024;

// Numbers smaller than a normal float are 0, as on the command line.
float normal(double number) {
  const auto value = static_cast<float>(number);
  return std::abs(value) < std::numeric_limits<float>::min() ? 0.0f : value;
}

void read_float(const Fields& body, std::string_view name, double least, double most,
                float& value) {
  if (const auto given = body.number(name, least, most)) value = normal(*given);
}

// Signed ones, too: the same 64 bits.
std::optional<uint64_t> read_seed(const Fields& body) {
  const Json* value = body.find("seed");
  if (value == nullptr) return std::nullopt;
  if (value->is_number_unsigned()) return value->get<uint64_t>();
  return static_cast<uint64_t>(*body.integer("seed", std::numeric_limits<int64_t>::min()));
}

int32_t read_token_id(const std::string& text, const std::string& field,
                      const ModelConfig& config) {
  int32_t id = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  if (whole && id >= 0 && id < config.vocab_size) return id;
  throw invalid_request(fmt::format("A key of {} is {}; it must be a token id from 0 to {}.", field,
                                    in_quotes(text), config.vocab_size - 1),
                        field, "invalid_value");
}

void read_logit_bias(const Fields& body, const ModelConfig& config,
                     std::vector<TokenBias>& biases) {
  const Json* given = body.find("logit_bias");
  if (given == nullptr) return;
  if (!given->is_object()) body.refuse("logit_bias", "an object of token ids and their biases");
  for (const auto& [key, value] : given->items()) {
    const int32_t token = read_token_id(key, "logit_bias", config);
    const double bias = number_of(value, "logit_bias." + key, -100, 100);
    biases.push_back({token, static_cast<float>(bias)});
  }
}

SamplingParams read_sampling(const Fields& body, const ServerInfo& info,
                             const ModelConfig& config) {
  SamplingParams sampling = info.defaults.sampling;
  read_float(body, "temperature", 0, 100, sampling.temperature);
  if (const auto top_p = body.number("top_p", 0, 1, /*above=*/true)) {
    sampling.top_p = std::max(normal(*top_p), std::numeric_limits<float>::min());
  }
  read_float(body, "min_p", 0, 1, sampling.min_p);
  if (const auto top_k = body.integer("top_k", -1, kMostInt)) {
    sampling.top_k = static_cast<int>(std::max<int64_t>(*top_k, 0));  // -1: all, as in vLLM
  }
  read_float(body, "presence_penalty", -2, 2, sampling.presence_penalty);
  read_float(body, "frequency_penalty", -2, 2, sampling.frequency_penalty);
  if (const auto penalty = body.number("repetition_penalty", 1e-6, 100)) {
    sampling.repetition_penalty = std::max(static_cast<float>(*penalty), 1e-6f);
  }
  read_logit_bias(body, config, sampling.logit_bias);
  if (const auto seed = read_seed(body)) {
    sampling.seed = *seed;
  } else if (!sampling.greedy()) {
    sampling.seed = std::random_device{}();  // who gives none expects another answer each time
  }
  return sampling;
}

void read_stops(const Fields& body, const ModelConfig& config, GenerateOptions& options) {
  const auto add = [&](const Json& value, const std::string& field) {
    std::string text = text_of(value, field);
    if (text.empty() || characters(text) > kMostStopCharacters) {
      refuse(field, value, fmt::format("a text of 1 to {} characters", kMostStopCharacters));
    }
    options.stop.push_back(std::move(text));
  };
  const Json* stop = body.find("stop");
  if (stop != nullptr && stop->is_array()) {
    if (stop->size() > kMostStops) body.refuse("stop", fmt::format("at most {}", kMostStops));
    for (size_t i = 0; i < stop->size(); ++i) add((*stop)[i], fmt::format("stop[{}]", i));
  } else if (stop != nullptr) {
    if (!stop->is_string()) body.refuse("stop", "a string or a list of strings");
    add(*stop, "stop");
  }
  if (const Json* ids = body.list("stop_token_ids")) {
    if (ids->size() > kMostStopIds) {
      body.refuse("stop_token_ids", fmt::format("at most {}", kMostStopIds));
    }
    for (size_t i = 0; i < ids->size(); ++i) {
      options.stop_token_ids.push_back(static_cast<int32_t>(
          integer_of((*ids)[i], fmt::format("stop_token_ids[{}]", i), 0, config.vocab_size - 1)));
    }
  }
}

Mode read_mode(const std::string& name) {
  for (const Mode mode : {Mode::kAr, Mode::kDual}) {
    if (name == name_of(mode)) return mode;
  }
  return Mode::kAuto;
}

// What is our own: speed only.
void read_orthrus(const Fields& body, const ModelConfig& config, GenerationFields& fields) {
  const auto own = body.object("orthrus");
  if (!own) return;
  if (const auto mode = own->choice("mode", {"ar", "dual", "auto"})) {
    fields.options.mode = read_mode(*mode);
    fields.options.block_size = 0;
  }
  if (own->has("block_size")) {
    if (!config.has_diffusion_view()) {
      own->refuse("block_size", "left out: this model has no diffusion view, and drafts no blocks");
    }
    if (fields.options.mode == Mode::kAr) {
      own->refuse("block_size", "left out with mode \"ar\", which drafts no blocks");
    }
    fields.options.block_size = static_cast<int>(*own->integer("block_size", 2, config.block_size));
  }
  fields.passes = own->boolean("passes").value_or(false);
}

void read_stream(const Fields& body, GenerationFields& fields) {
  fields.stream = body.boolean("stream").value_or(false);
  const auto options = body.object("stream_options");
  if (!options) return;
  if (!fields.stream) body.refuse("stream_options", "left out, unless stream is true");
  fields.include_usage = options->boolean("include_usage").value_or(false);
}

// A text that only looks as if it had been constrained would be worse than none.
void refuse_constraints(const Fields& body) {
  if (const auto format = body.object("response_format")) {
    format->required("type", "\"text\"");
    if (format->text("type") != "text") {
      format->refuse("type", "\"text\": this server cannot guarantee other formats");
    }
  }
  for (const std::string_view name :
       {"structured_outputs", "guided_json", "guided_regex", "guided_choice", "guided_grammar",
        "grammar", "json_schema"}) {
    if (body.has(name))
      body.refuse(name, "left out: this server cannot guarantee such constraints");
  }
  if (body.boolean("use_beam_search").value_or(false)) {
    body.refuse("use_beam_search", "false: this server does no beam search");
  }
}

}  // namespace

GenerationFields read_generation(const Fields& body, const ServerInfo& info,
                                 const ModelConfig& config, int default_max_tokens) {
  refuse_constraints(body);
  GenerationFields fields;
  GenerateOptions& options = fields.options;
  options = info.defaults;
  options.max_tokens = default_max_tokens;
  options.sampling = read_sampling(body, info, config);
  options.ignore_eos = body.boolean("ignore_eos").value_or(info.defaults.ignore_eos);
  if (options.ignore_eos) options.stop.clear();  // those of the checkpoint are ends as well
  read_stops(body, config, options);
  options.priority = static_cast<int>(
      body.integer("priority", std::numeric_limits<int>::min(), kMostInt).value_or(0));
  options.cache_salt = body.text("cache_salt").value_or("");
  fields.n = static_cast<int>(body.integer("n", 1, kMostChoices).value_or(1));
  fields.return_token_ids = body.boolean("return_token_ids").value_or(false);
  read_stream(body, fields);
  read_orthrus(body, config, fields);
  return fields;
}

void check_model(const Fields& body, const ServerInfo& info) {
  const auto model = body.text("model");
  if (!model || *model == info.model) return;
  throw ApiError(
      404, "invalid_request_error",
      fmt::format("The model {} is not served; {} is.", in_quotes(*model), in_quotes(info.model)),
      "model", "model_not_found");
}

}  // namespace orthrus::server::openai
