// Requests that no handler is asked.
#pragma once

#include <optional>

#include "server/api/error.h"
#include "server/http/access.h"
#include "server/http/router.h"

namespace orthrus::server {

struct Refusal {
  ApiError error;
  Headers extra;
};

// Why the header alone is enough to refuse it: there is no such path (404) or not with this method
// (405), or the key is missing (401).
std::optional<Refusal> refusal_of(const HttpRequest& request, const Router::Match& match,
                                  const AccessRules& rules);

}  // namespace orthrus::server
