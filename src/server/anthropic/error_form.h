// Errors as clients of Anthropic's API read them.
#pragma once

#include <string>
#include <string_view>

#include "server/api/fields.h"

namespace orthrus::server::anthropic {

// {"type": "error", "error": {"type", "message"}, "request_id"}. The type goes by the status:
// 400 is an "invalid_request_error", 429 a "rate_limit_error", 503 and 529 an "overloaded_error".
Json error_body(const ApiError& error, std::string_view request_id);

// The same as text: a route's ErrorForm.
std::string error_json(const ApiError& error, std::string_view request_id);

}  // namespace orthrus::server::anthropic
