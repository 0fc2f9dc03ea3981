// Who may ask, and from which pages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/http/exchange.h"

namespace orthrus::server {

struct AccessRules {
  std::vector<std::string> api_keys;      // any of them; none: everyone may
  std::vector<std::string> cors_origins;  // pages that browsers let ask; "*" is all
};

// Whether a browser may send this as the origin of a page: "http://localhost:3000", "null" of a
// file; or "*".
bool is_cors_origin(std::string_view text);

// Whether the request carries one of the keys: "Authorization: Bearer KEY", or "X-API-Key: KEY".
// What it takes does not depend on how much of a key is right.
bool has_key(const AccessRules& rules, const HttpRequest& request);

// What an answer says to the browser of the page that asks; nothing where there is none, or its
// origin is not one of the rules'.
Headers cors_headers(const AccessRules& rules, const HttpRequest& request);

}  // namespace orthrus::server
