#include "server/http/answer.h"

#include <new>
#include <utility>

#include "server/api/error.h"

namespace orthrus::server {

Answer::Answer(AnswerStyle style, std::function<void()> flush, size_t most_unsent)
    : style_(std::move(style)),
      flush_(std::move(flush)),
      most_unsent_(most_unsent),
      keep_alive_(style_.keep_alive) {}

// With the lock held.
void Answer::begin(int status, std::string_view content_type, Framing framing, size_t length,
                   const Headers& extra) {
  if (status == 204 || status == 304) framing = Framing::kNone;
  if (framing == Framing::kChunked && style_.http_1_0) framing = Framing::kClose;
  if (framing == Framing::kClose) keep_alive_ = false;
  status_ = status;
  unheard_ = left_ && status >= 500;
  chunked_ = framing == Framing::kChunked;
  body_ = framing != Framing::kNone && !style_.head;
  bytes_ += response_head({.status = status,
                           .content_type = content_type,
                           .framing = framing,
                           .length = length,
                           .keep_alive = keep_alive_,
                           .http_1_0 = style_.http_1_0},
                          style_.common, extra);
}

void Answer::respond(int status, std::string_view content_type, std::string body,
                     const Headers& extra) {
  std::unique_lock lock(mutex_);
  if (status_ != 0 || lost_) return;
  begin(status, content_type, Framing::kLength, body.size(), extra);
  if (body_) bytes_ += body;
  finish(std::move(lock));
}

void Answer::fail(const ApiError& error, const Headers& extra) {
  const std::string_view id = style_.common.find("X-Request-Id").value_or("");
  respond(error.status, "application/json",
          style_.errors != nullptr ? style_.errors(error, id) : openai_json(error), extra);
}

void Answer::begin_stream(int status, std::string_view content_type, const Headers& extra) {
  std::unique_lock lock(mutex_);
  if (status_ != 0 || lost_) return;
  begin(status, content_type, Framing::kChunked, 0, extra);
  const bool tell = !std::exchange(flushing_, true);
  lock.unlock();
  if (tell) flush_();
}

void Answer::write(std::string_view piece) {
  std::unique_lock lock(mutex_);
  // An empty piece would be the end of a chunked body.
  if (status_ == 0 || ended_ || lost_ || cut_ || !body_ || piece.empty()) return;
  if (bytes_.size() + unsent_ > most_unsent_) {
    cut_ = true;
    std::string().swap(bytes_);
  } else if (chunked_) {
    bytes_ += chunk(piece);
  } else {
    bytes_ += piece;
  }
  const bool tell = !std::exchange(flushing_, true);
  lock.unlock();
  if (tell) flush_();
}

void Answer::end() {
  std::unique_lock lock(mutex_);
  if (status_ == 0 || ended_ || lost_) return;
  if (chunked_ && body_) bytes_ += chunk({});
  finish(std::move(lock));
}

// What is dropped here may be the last to hold the exchange, whose end asks for the lock.
void Answer::finish(std::unique_lock<std::mutex> lock) {
  ended_ = true;
  const std::vector<std::function<void()>> dropped = std::exchange(on_close_, {});
  const bool tell = !std::exchange(flushing_, true);
  lock.unlock();
  if (tell) flush_();
}

void Answer::on_close(std::function<void()> callback) {
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    if (!left_) {
      on_close_.push_back(std::move(callback));
      return;
    }
  }
  callback();
}

void Answer::abandon() {
  try {
    fail({500, "server_error", "The request was given up."}, {});
  } catch (const std::bad_alloc&) {  // it is cut off
  }
  std::unique_lock lock(mutex_);
  if (ended_ || lost_) return;
  cut_ = true;
  const bool tell = !std::exchange(flushing_, true);
  lock.unlock();
  if (tell) flush_();
}

int Answer::status() const {
  const std::lock_guard lock(mutex_);
  return unheard_ || (lost_ && !ended_) ? 499 : status_;
}

Answer::Batch Answer::take() {
  const std::lock_guard lock(mutex_);
  flushing_ = false;
  Batch batch{
      .bytes = std::exchange(bytes_, {}), .ended = ended_, .cut = cut_, .keep_alive = keep_alive_};
  unsent_ += batch.bytes.size();
  return batch;
}

void Answer::set_unsent(size_t bytes) {
  const std::lock_guard lock(mutex_);
  unsent_ = bytes;
}

void Answer::client_left(bool lost) {
  std::vector<std::function<void()>> callbacks;
  {
    const std::lock_guard lock(mutex_);
    left_ = true;
    lost_ |= lost;
    if (lost) std::string().swap(bytes_);
    callbacks = std::exchange(on_close_, {});
  }
  for (const std::function<void()>& callback : callbacks) callback();
}

}  // namespace orthrus::server
