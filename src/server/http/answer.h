// An answer on its way from the threads that give it to the connection that sends it.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/exchange.h"
#include "server/http/response_head.h"
#include "server/http/router.h"

namespace orthrus::server {

// How the request wants to be answered.
struct AnswerStyle {
  ErrorForm errors = nullptr;  // null: OpenAI's
  Headers common;              // of every answer: the request's id, and what browsers want
  bool http_1_0 = false;
  bool head = false;  // without the body
  bool keep_alive = true;
};

// Thread-safe.
class Answer {
 public:
  // `flush` is called, on any thread, when there is something new to send. A stream is cut where
  // more than `most_unsent` bytes wait when another piece comes: one piece may be larger, as that
  // of a prompt's log-probabilities.
  Answer(AnswerStyle style, std::function<void()> flush, size_t most_unsent);

  void respond(int status, std::string_view content_type, std::string body, const Headers& extra);
  void fail(const ApiError& error, const Headers& extra);
  void begin_stream(int status, std::string_view content_type, const Headers& extra);
  void write(std::string_view piece);
  void end();
  void on_close(std::function<void()> callback);
  // Nobody is left who could go on: a 500 where nothing was said, a stream is cut.
  void abandon();
  // 0: not answered. 499: the client went first, and what was said since is about that.
  int status() const;

  // For the connection. What there is to send since the last call; `unsent` says how many bytes of
  // earlier ones it still has.
  struct Batch {
    std::string bytes;
    bool ended = false;  // nothing more will come
    bool cut = false;    // more waits than may, or nobody will go on: hang up
    bool keep_alive = false;
  };
  Batch take();
  void set_unsent(size_t bytes);
  // The client has closed its side, or (`lost`) nothing can be sent any more.
  void client_left(bool lost);

 private:
  void begin(int status, std::string_view content_type, Framing framing, size_t length,
             const Headers& extra);
  void finish(std::unique_lock<std::mutex> lock);

  const AnswerStyle style_;
  const std::function<void()> flush_;
  const size_t most_unsent_;
  mutable std::mutex mutex_;
  std::string bytes_;
  size_t unsent_ = 0;
  int status_ = 0;
  bool chunked_ = false;
  bool body_ = true;
  bool keep_alive_;
  bool ended_ = false;
  bool left_ = false;
  bool unheard_ = false;  // an error that a client was given who had left before
  bool lost_ = false;
  bool cut_ = false;
  bool flushing_ = false;  // flush_ was called since the last take()
  std::vector<std::function<void()>> on_close_;
};

}  // namespace orthrus::server
