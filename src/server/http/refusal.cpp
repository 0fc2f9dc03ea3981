#include "server/http/refusal.h"

#include <fmt/core.h>

#include "files/display.h"

namespace orthrus::server {

std::optional<Refusal> refusal_of(const HttpRequest& request, const Router::Match& match,
                                  const AccessRules& rules) {
  if (request.method == "OPTIONS" && (!match.allowed.empty() || request.path == "*")) {
    return std::nullopt;
  }
  if (match.allowed.empty()) {
    return Refusal{{404,
                    "invalid_request_error",
                    fmt::format("There is no {}.", in_quotes(request.path)),
                    {},
                    "not_found"},
                   {}};
  }
  if (match.route == nullptr) {
    return Refusal{{405,
                    "invalid_request_error",
                    fmt::format("{} is asked by {}, not {}.", in_quotes(request.path),
                                match.allowed, in_quotes(request.method)),
                    {},
                    "method_not_allowed"},
                   {{"Allow", match.allowed}}};
  }
  if (match.route->access == Access::kKey && !has_key(rules, request)) {
    return Refusal{{401,
                    "authentication_error",
                    "The API key is missing or wrong; it is given as \"Authorization: Bearer "
                    "KEY\" or \"X-API-Key: KEY\".",
                    {},
                    "invalid_api_key"},
                   {{"WWW-Authenticate", "Bearer"}}};
  }
  return std::nullopt;
}

}  // namespace orthrus::server
