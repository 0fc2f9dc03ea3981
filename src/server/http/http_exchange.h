// The exchange that a handler is given, of a request that came over a connection.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "server/http/answer.h"
#include "server/http/context.h"

namespace orthrus::server {

// A request id to go by where a client gives none, or one that is not 1..128 printable characters
// of ASCII without spaces.
std::string request_id(const HttpRequest& request);

class HttpExchange final : public Exchange, public std::enable_shared_from_this<HttpExchange> {
 public:
  HttpExchange(std::shared_ptr<Context> context, std::shared_ptr<Answer> answer,
               HttpRequest request, BodyShare body_share);
  ~HttpExchange() override;

  const HttpRequest& request() const override { return request_; }
  std::string take_body() override;
  void respond(int status, std::string_view content_type, std::string body, Headers extra) override;
  void fail(const ApiError& error, Headers extra) override;
  void begin_stream(int status, std::string_view content_type, Headers extra) override;
  void write(std::string piece) override { answer_->write(piece); }
  void end() override { answer_->end(); }
  void on_close(std::function<void()> callback) override;
  void run_elsewhere(std::function<void()> work) override;
  void note(std::string text) override;

 private:
  const std::shared_ptr<Context> context_;
  const std::shared_ptr<Answer> answer_;
  HttpRequest request_;
  std::optional<BodyShare> body_share_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::mutex mutex_;
  std::string note_;
};

// Runs it, and answers what it throws.
void run(const Handler& handler, std::shared_ptr<Exchange> exchange);

}  // namespace orthrus::server
