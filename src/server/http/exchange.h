// One HTTP request, and the way to answer it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "server/http/headers.h"

namespace orthrus::server {

struct ApiError;

struct HttpRequest {
  std::string method;  // "POST"
  std::string path;    // "/v1/models", percent-decoded; any bytes but control characters
  std::string query;   // what stands behind '?', as it was sent
  Headers headers;
  std::string body;  // whole; any bytes
  std::string id;    // its X-Request-Id, which every answer carries: the client's or a made one
};

// Held by std::shared_ptr. Every member is thread-safe, returns at once, and does nothing where it
// has no sense any more: after the client has gone, after end(), a second respond().
//
// One that all let go without an answer becomes a 500.
class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual const HttpRequest& request() const = 0;
  // The request's body, which is held no longer then: for the handler, once.
  virtual std::string take_body() = 0;

  // The whole answer at once.
  virtual void respond(int status, std::string_view content_type, std::string body,
                       Headers extra = {}) = 0;
  // An error in the form of the route's API, as the whole answer.
  virtual void fail(const ApiError& error, Headers extra = {}) = 0;

  // An answer in pieces, each of which is sent at once. A client that takes them so slowly that
  // megabytes wait for it is cut off, as if it had gone.
  virtual void begin_stream(int status, std::string_view content_type, Headers extra = {}) = 0;
  virtual void write(std::string piece) = 0;
  virtual void end() = 0;

  // Calls it once, from any thread, when the client has gone before the answer was at its end; at
  // once if it has gone already. It is dropped, uncalled, after the answer.
  virtual void on_close(std::function<void()> callback) = 0;

  // Runs it on one of the threads of handlers, also when this returns before that; never where the
  // server is about to end. What it throws becomes the answer, as a handler's.
  virtual void run_elsewhere(std::function<void()> work) = 0;

  // What the line of the log says of this request beside what is in HTTP: "prompt=12 ...". The last
  // call counts.
  virtual void note(std::string text) = 0;
};

// Runs on one of a few threads of the server, never on the event loop: it may parse and tokenize,
// and should not wait. What it throws becomes the answer: an ApiError as it says, Error(kUsage) a
// 400, everything else a 500.
using Handler = std::function<void(std::shared_ptr<Exchange>)>;

}  // namespace orthrus::server
