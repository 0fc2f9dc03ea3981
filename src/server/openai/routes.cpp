#include "server/openai/routes.h"

#include <fmt/format.h>

#include "server/api/error.h"
#include "server/openai/handlers.h"
#include "server/openai/openapi.h"

namespace orthrus::server::openai {

void add_routes(Router& router, Dispatcher* dispatcher) {
  const auto add = [&](const char* method, const char* path, auto handler) {
    router.add(method, path, [dispatcher, handler](const ExchangePointer& exchange) {
      handler(exchange, *dispatcher);
    });
  };
  add("POST", "/v1/chat/completions", complete_chat);
  add("POST", "/v1/completions", complete_text);
  add("POST", "/tokenize", tokenize);
  add("POST", "/detokenize", detokenize);
  add("GET", "/tokenizer_info", describe_tokenizer);
  add("GET", "/v1/models", list_models);
  add("GET", "/v1/models/*", show_model);
  router.add({.method = "GET",
              .path = "/openapi.json",
              .access = Access::kOpen,
              .at_once = true,
              .handler = [](const ExchangePointer& exchange) {
                exchange->respond(200, "application/json", std::string(openapi()));
              }});
}

void check_fits(size_t tokens, const ServerInfo& info, const std::string& field) {
  if (tokens < static_cast<size_t>(info.context_length)) return;
  throw invalid_request(
      fmt::format("The prompt has {} tokens; {} of {} allows at most {}.", tokens,
                  info.cache_limits_context ? "the server's cache (--cache-memory)"
                                            : "this model's context",
                  info.context_length, info.context_length - 1),
      field, "context_length_exceeded");
}

const Tokenizer& tokenizer_of(const Dispatcher& dispatcher) {
  const Tokenizer* tokenizer = dispatcher.engine().tokenizer();
  if (tokenizer != nullptr) return *tokenizer;
  throw invalid_request("This model has no tokenizer, so it takes token ids only.");
}

}  // namespace orthrus::server::openai
