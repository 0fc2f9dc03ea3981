#include "server/api/error.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "orthrus/error.h"

namespace orthrus::server {
namespace {

// The engine's messages begin "top_p is 2; valid is ...".
std::string field_of(std::string_view message) {
  const std::string_view word = message.substr(0, message.find(' '));
  const bool is_field =
      !word.empty() &&
      word.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789[].") == std::string_view::npos;
  return is_field ? std::string(word) : std::string();
}

nlohmann::ordered_json or_null(const std::string& text) {
  return text.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(text);
}

}  // namespace

ApiError::ApiError(int status, std::string type, std::string message, std::string param,
                   std::string code)
    : status(status),
      type(std::move(type)),
      message(std::move(message)),
      param(std::move(param)),
      code(std::move(code)) {}

ApiError invalid_request(std::string message, std::string param, std::string code) {
  return {400, "invalid_request_error", std::move(message), std::move(param), std::move(code)};
}

std::string openai_json(const ApiError& error) {
  const nlohmann::ordered_json body = {{"error",
                                        {{"message", error.message},
                                         {"type", error.type},
                                         {"param", or_null(error.param)},
                                         {"code", or_null(error.code)}}}};
  return body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

ApiError as_api_error(const std::exception& error) {
  if (const auto* api = dynamic_cast<const ApiError*>(&error)) return *api;
  const auto* own = dynamic_cast<const Error*>(&error);
  if (own != nullptr && own->kind() == ErrorKind::kUsage) {
    const std::string field = field_of(own->what());
    return invalid_request(own->what(), field, field.empty() ? "" : "invalid_value");
  }
  return {500, "server_error", error.what()};
}

}  // namespace orthrus::server
