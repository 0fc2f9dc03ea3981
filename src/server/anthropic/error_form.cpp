#include "server/anthropic/error_form.h"

namespace orthrus::server::anthropic {
namespace {

std::string_view type_of(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
    case 529:
      return "overloaded_error";
    case 504:
      return "timeout_error";
    default:
      return status < 500 ? "invalid_request_error" : "api_error";
  }
}

}  // namespace

Json error_body(const ApiError& error, std::string_view request_id) {
  return {{"type", "error"},
          {"error", {{"type", type_of(error.status)}, {"message", error.message}}},
          {"request_id", request_id}};
}

std::string error_json(const ApiError& error, std::string_view request_id) {
  return to_text(error_body(error, request_id));
}

}  // namespace orthrus::server::anthropic
