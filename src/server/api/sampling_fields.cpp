#include "server/api/sampling_fields.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <random>
#include <utility>

#include "files/display.h"

namespace orthrus::server {
namespace {

constexpr int kMostInt = std::numeric_limits<int>::max();
// What bounds the work of looking for stop strings in a text.
constexpr size_t kMostStops = 32;
constexpr size_t kMostStopCharacters = 1024;

// Numbers smaller than a normal float are 0, as on the command line.
float normal(double number) {
  const auto value = static_cast<float>(number);
  return std::abs(value) < std::numeric_limits<float>::min() ? 0.0f : value;
}

void read_float(const Fields& body, std::string_view name, double least, double most,
                float& value) {
  if (const auto given = body.number(name, least, most)) value = normal(*given);
}

// OpenAI's are signed, ours unsigned: either is the same 64 bits, as on the command line.
std::optional<uint64_t> read_seed(const Fields& body) {
  const Json* value = body.find("seed");
  if (value == nullptr) return std::nullopt;
  if (value->is_number_unsigned()) return value->get<uint64_t>();
  if (value->is_number_integer()) return static_cast<uint64_t>(value->get<int64_t>());
  const double number = value->is_number() ? value->get<double>() : 0.5;
  if (std::trunc(number) != number || std::abs(number) > static_cast<double>(kMostExact)) {
    body.refuse("seed",
                fmt::format("a whole number from {} to {}", std::numeric_limits<int64_t>::min(),
                            std::numeric_limits<uint64_t>::max()));
  }
  return static_cast<uint64_t>(static_cast<int64_t>(number));
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

Mode read_mode(const std::string& name) {
  for (const Mode mode : {Mode::kAr, Mode::kDual}) {
    if (name == name_of(mode)) return mode;
  }
  return Mode::kAuto;
}

}  // namespace

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

std::vector<std::string> read_stops(const Fields& body, std::string_view name) {
  std::vector<std::string> stops;
  const auto add = [&](const Json& value, const std::string& field) {
    std::string text = text_of(value, field);
    if (text.empty() || characters(text) > kMostStopCharacters) {
      refuse(field, value, fmt::format("a text of 1 to {} characters", kMostStopCharacters));
    }
    stops.push_back(std::move(text));
  };
  const Json* stop = body.find(name);
  if (stop != nullptr && stop->is_array()) {
    if (stop->size() > kMostStops) body.refuse(name, fmt::format("at most {}", kMostStops));
    for (size_t i = 0; i < stop->size(); ++i) add((*stop)[i], fmt::format("{}[{}]", name, i));
  } else if (stop != nullptr) {
    if (!stop->is_string()) body.refuse(name, "a string or a list of strings");
    add(*stop, std::string(name));
  }
  return stops;
}

void read_scheduling(const Fields& body, GenerateOptions& options) {
  options.priority = static_cast<int>(
      body.integer("priority", std::numeric_limits<int>::min(), kMostInt).value_or(0));
  options.cache_salt = body.text("cache_salt").value_or("");
}

bool read_own(const Fields& body, const ModelConfig& config, GenerateOptions& options) {
  const auto own = body.object("orthrus");
  if (!own) return false;
  if (const auto mode = own->choice("mode", {"ar", "dual", "auto"})) {
    options.mode = read_mode(*mode);
    if (options.mode == Mode::kDual && !config.has_diffusion_view()) {
      own->refuse("mode", "\"ar\" or \"auto\": this model has no diffusion view");
    }
    options.block_size = 0;
    options.tree_nodes.reset();
  }
  if (own->has("block_size")) {
    if (!config.has_diffusion_view()) {
      own->refuse("block_size", "left out: this model has no diffusion view, and drafts no blocks");
    }
    if (options.mode == Mode::kAr) {
      own->refuse("block_size", "left out with mode \"ar\", which drafts no blocks");
    }
    options.block_size = static_cast<int>(*own->integer("block_size", 2, config.block_size));
  }
  if (const auto nodes = own->integer("tree_nodes", 0, 128)) {
    if (*nodes == 1) own->refuse("tree_nodes", "2 to 128, or 0 for chains");
    if (*nodes > 0 && !config.has_diffusion_view()) {
      own->refuse("tree_nodes", "left out: this model has no diffusion view, and drafts no trees");
    }
    if (*nodes > 0 && options.mode == Mode::kAr) {
      own->refuse("tree_nodes", "left out with mode \"ar\", which drafts no trees");
    }
    options.tree_nodes = static_cast<int>(*nodes);
  }
  if (const auto lookup = own->boolean("lookup")) options.lookup = *lookup;
  return own->boolean("passes").value_or(false);
}

}  // namespace orthrus::server
