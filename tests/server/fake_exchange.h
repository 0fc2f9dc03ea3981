// An exchange without a connection, and the events of a stream.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "server/api/error.h"
#include "server/api/fields.h"
#include "server/http/exchange.h"
#include "server/http/router.h"

namespace orthrus::server::test {

inline HttpRequest request_of(std::string method, std::string path, std::string body = "") {
  return {.method = std::move(method),
          .path = std::move(path),
          .query = "",
          .headers = {},
          .body = std::move(body),
          .id = "test"};
}

// Keeps what it is answered with.
class FakeExchange final : public Exchange {
 public:
  // `errors`: null for OpenAI's form.
  explicit FakeExchange(HttpRequest request, ErrorForm errors = nullptr)
      : request_(std::move(request)), errors_(errors) {}

  const HttpRequest& request() const override { return request_; }
  std::string take_body() override { return std::exchange(request_.body, {}); }

  void respond(int status, std::string_view, std::string body, Headers) override {
    {
      const std::lock_guard lock(mutex_);
      if (status_ != 0) return;
      status_ = status;
      body_ = std::move(body);
    }
    end();
  }
  void fail(const ApiError& error, Headers extra) override {
    respond(error.status, "application/json",
            errors_ != nullptr ? errors_(error, request_.id) : openai_json(error),
            std::move(extra));
  }
  void begin_stream(int status, std::string_view, Headers) override {
    const std::lock_guard lock(mutex_);
    if (status_ == 0) status_ = status;
  }
  void write(std::string piece) override {
    const std::lock_guard lock(mutex_);
    if (done_) return;
    body_ += piece;
    last_piece_ = std::move(piece);
  }
  void end() override {
    const std::lock_guard lock(mutex_);
    done_ = true;
    changed_.notify_all();
  }
  void on_close(std::function<void()>) override {}
  void run_elsewhere(std::function<void()> work) override { work(); }
  void note(std::string) override {}

  struct Answer {
    int status = 0;
    std::string body;
    std::string last_piece;  // of a stream
  };
  Answer wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return done_; });
    return {status_, body_, last_piece_};
  }

 private:
  HttpRequest request_;
  const ErrorForm errors_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  int status_ = 0;
  std::string body_, last_piece_;
};

// Names and data of events of the form "event: NAME\ndata: JSON\n\n".
inline std::vector<std::pair<std::string, Json>> events_of(const std::string& stream) {
  constexpr std::string_view kEvent = "event: ", kData = "\ndata: ";
  std::vector<std::pair<std::string, Json>> events;
  for (size_t at = 0; at < stream.size();) {
    const size_t end = stream.find("\n\n", at);
    const size_t data = stream.find(kData, at);
    if (end == stream.npos || data > end || !stream.substr(at).starts_with(kEvent)) {
      ADD_FAILURE() << "no event: " << stream.substr(at);
      break;
    }
    const size_t name = at + kEvent.size(), json = data + kData.size();
    events.emplace_back(stream.substr(name, data - name),
                        Json::parse(stream.substr(json, end - json)));
    at = end + 2;
  }
  return events;
}

}  // namespace orthrus::server::test
