// GET /v1/models and /v1/models/{id}. Anthropic's clients ask the same paths: what they look for
// stands beside what OpenAI's do.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include "files/display.h"
#include "server/api/fields.h"
#include "server/openai/handlers.h"

namespace orthrus::server::openai {
namespace {

Json model_json(const ServerInfo& info) {
  return {{"id", info.model},
          {"object", "model"},
          {"created", info.started},
          {"owned_by", "orthrus"},
          {"root", info.model},
          {"parent", nullptr},
          {"max_model_len", info.context_length},
          {"type", "model"},
          {"display_name", info.model},
          {"created_at", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(info.started))},
          {"max_input_tokens", info.context_length}};
}

}  // namespace

void list_models(const ExchangePointer& exchange, const Dispatcher& dispatcher) {
  const ServerInfo& info = dispatcher.info();
  const Json models = {{"object", "list"},
                       {"data", Json::array({model_json(info)})},
                       {"has_more", false},
                       {"first_id", info.model},
                       {"last_id", info.model}};
  exchange->respond(200, "application/json", to_text(models));
}

void show_model(const ExchangePointer& exchange, const Dispatcher& dispatcher) {
  constexpr std::string_view kPath = "/v1/models/";
  const ServerInfo& info = dispatcher.info();
  const std::string id = exchange->request().path.substr(kPath.size());
  if (id != info.model) {
    throw ApiError(
        404, "invalid_request_error",
        fmt::format("The model {} is not served; {} is.", in_quotes(id), in_quotes(info.model)),
        "model", "model_not_found");
  }
  exchange->respond(200, "application/json", to_text(model_json(info)));
}

}  // namespace orthrus::server::openai
