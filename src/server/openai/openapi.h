// The description of all paths of the server, in OpenAPI 3.1.
#pragma once

#include <string_view>

namespace orthrus::server::openai {

// JSON, of openapi.json.
std::string_view openapi();

}  // namespace orthrus::server::openai
