// What a request is answered with when it is not done: one error, in each API's own form.
#pragma once

#include <exception>
#include <string>
#include <string_view>

namespace orthrus::server {

// Thrown while a request is read; what a handler throws becomes the answer.
struct ApiError : std::exception {
  ApiError(int status, std::string type, std::string message, std::string param = {},
           std::string code = {});

  const char* what() const noexcept override { return message.c_str(); }

  int status;           // of HTTP, 400..599
  std::string type;     // as OpenAI names it: "invalid_request_error", "rate_limit_error", ...
  std::string message;  // for a person: field, value, and what would be valid
  std::string param;    // the field, as in "messages[0].role"; may be empty
  std::string code;     // "model_not_found", ...; may be empty
};

// 400: the request, or a field of it, is not what it must be.
ApiError invalid_request(std::string message, std::string param = {}, std::string code = {});

// OpenAI's form: {"error": {"message", "type", "param", "code"}}, what is empty as null.
std::string openai_json(const ApiError& error);

// What orthrus::Error and std::exception say as an ApiError: what the caller asked wrongly is a
// 400, with the field that the message begins with as its param; all else a 500.
ApiError as_api_error(const std::exception& error);

}  // namespace orthrus::server
