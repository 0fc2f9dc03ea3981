#include "server/anthropic/routes.h"

#include <fmt/format.h>

#include <utility>

#include "server/anthropic/answer.h"
#include "server/anthropic/error_form.h"
#include "server/anthropic/messages_request.h"
#include "server/api/fields.h"
#include "server/api/random_id.h"

namespace orthrus::server::anthropic {
namespace {

using ExchangePointer = std::shared_ptr<Exchange>;

void create_message(const ExchangePointer& exchange, Dispatcher& dispatcher) {
  const Engine& engine = dispatcher.engine();
  const ServerInfo& info = dispatcher.info();
  const Json json = parse_body(exchange->take_body());
  MessagesRequest fields =
      read_request(Fields(json), info, engine.config(), fmt::format("toolu_{}_", random_id()));
  Request request{.prompt = engine.encode(fields.prompt.text),
                  .options = fields.options,
                  .on_step{},
                  .on_prefill{}};
  const auto prompt_tokens = static_cast<int>(request.prompt.size());
  if (prompt_tokens >= info.context_length) {  // in words that clients look for
    throw invalid_request(fmt::format(
        "prompt is too long: {} tokens > {} maximum{}", prompt_tokens, info.context_length - 1,
        info.cache_limits_context ? ", of the server's cache (--cache-memory)" : ""));
  }
  fields.prompt.text = {};  // which may be long, and has served
  const auto answer = std::make_shared<Answer>(exchange, std::move(fields), prompt_tokens);
  dispatcher.submit(exchange, {std::move(request)}, {answer->callbacks()},
                    [answer](const ApiError& error) { answer->fail(error); });
}

void count_tokens(const ExchangePointer& exchange, const Dispatcher& dispatcher) {
  const Json json = parse_body(exchange->take_body());
  const MessagesPrompt prompt = read_prompt(Fields(json), dispatcher.info().chat_format, "");
  const size_t tokens = dispatcher.engine().encode(prompt.text).size();
  exchange->respond(200, "application/json", to_text({{"input_tokens", tokens}}),
                    {{"request-id", exchange->request().id}});
}

}  // namespace

void add_routes(Router& router, Dispatcher* dispatcher) {
  // The paths that are Anthropic's alone, those that are not served among them.
  for (const char* const path : {"/v1/messages", "/v1/complete"}) {
    router.add_errors(path, error_json);
  }
  const auto add = [&](const char* path, auto handler) {
    router.add("POST", path, [dispatcher, handler](const ExchangePointer& exchange) {
      handler(exchange, *dispatcher);
    });
  };
  add("/v1/messages", create_message);
  add("/v1/messages/count_tokens", count_tokens);
}

}  // namespace orthrus::server::anthropic
