#include "server/openai/generation_fields.h"

#include <fmt/format.h>

#include <utility>

#include "files/display.h"
#include "server/api/sampling_fields.h"

namespace orthrus::server::openai {
namespace {

constexpr int kMostChoices = 128;
constexpr size_t kMostStopIds = 1024;

void read_stop_ids(const Fields& body, const ModelConfig& config, GenerateOptions& options) {
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
  for (std::string& stop : read_stops(body, "stop")) options.stop.push_back(std::move(stop));
  read_stop_ids(body, config, options);
  read_scheduling(body, options);
  fields.n = static_cast<int>(body.integer("n", 1, kMostChoices).value_or(1));
  fields.return_token_ids = body.boolean("return_token_ids").value_or(false);
  read_stream(body, fields);
  fields.passes = read_own(body, config, options);
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
