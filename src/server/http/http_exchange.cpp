#include "server/http/http_exchange.h"

#include <algorithm>
#include <new>
#include <utility>

#include "server/api/error.h"
#include "server/api/random_id.h"

namespace orthrus::server {

std::string request_id(const HttpRequest& request) {
  constexpr size_t kMost = 128;
  if (const auto given = request.headers.find("X-Request-Id")) {
    const bool plain = std::ranges::all_of(*given, [](char c) { return c > 0x20 && c < 0x7f; });
    if (plain && !given->empty() && given->size() <= kMost) return std::string(*given);
  }
  return random_id();
}

HttpExchange::HttpExchange(std::shared_ptr<Context> context, std::shared_ptr<Answer> answer,
                           HttpRequest request, BodyShare body_share)
    : context_(std::move(context)),
      answer_(std::move(answer)),
      request_(std::move(request)),
      body_share_(std::move(body_share)) {}

HttpExchange::~HttpExchange() {
  try {
    answer_->abandon();
    if (!context_->options.on_answered) return;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began_;
    context_->options.on_answered({.id = request_.id,
                                   .method = request_.method,
                                   .path = request_.path,
                                   .status = answer_->status(),
                                   .seconds = took.count(),
                                   .note = note_});
  } catch (const std::exception&) {  // no memory for a line of the log
  }
}

void HttpExchange::respond(int status, std::string_view content_type, std::string body,
                           Headers extra) {
  answer_->respond(status, content_type, std::move(body), extra);
}

void HttpExchange::fail(const ApiError& error, Headers extra) {
  answer_->fail(error, extra);
}

void HttpExchange::begin_stream(int status, std::string_view content_type, Headers extra) {
  answer_->begin_stream(status, content_type, extra);
}

void HttpExchange::on_close(std::function<void()> callback) {
  answer_->on_close(std::move(callback));
}

std::string HttpExchange::take_body() {
  body_share_.reset();
  return std::exchange(request_.body, {});
}

void HttpExchange::run_elsewhere(std::function<void()> work) {
  context_->run_elsewhere([self = shared_from_this(), work = std::move(work)] {
    run([&work](const std::shared_ptr<Exchange>&) { work(); }, self);
  });
}

void HttpExchange::note(std::string text) {
  const std::lock_guard lock(mutex_);
  note_ = std::move(text);
}

void run(const Handler& handler, std::shared_ptr<Exchange> exchange) try {
  try {
    handler(exchange);
  } catch (const std::exception& error) {
    exchange->fail(as_api_error(error));
  }
} catch (const std::bad_alloc&) {  // for the error, too: it is let go without an answer
}

}  // namespace orthrus::server
