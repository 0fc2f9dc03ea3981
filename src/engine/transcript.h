// A request on the side of the one who asked: what becomes of the tokens that a task emits.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "engine/stop_strings.h"
#include "orthrus/request.h"
#include "orthrus/tokenizer.h"
#include "schedule/task.h"

namespace orthrus {

class Transcript {
 public:
  // All must outlive it; `tokenizer` may be null. The parameters are the request's.
  Transcript(const Request& request, const DecodeParams& params, const Tokenizer* tokenizer);

  // What is new, told to the request's callbacks. False once nothing more is wanted of the task,
  // which may have ended or not. Throws what the callbacks throw.
  bool take(const News& news);
  // The one who asked wants no more.
  void cancel() { finish(FinishReason::kCancelled); }
  void fail(Status status);

  bool done() const { return done_; }
  // After done() and the end of the task, if there was one.
  Generation result(Task* task) &&;

 private:
  using Clock = Task::Clock;

  bool is_end(int32_t token) const;
  bool emit(const News& news, const News::Emission& emission, size_t first);
  size_t append(std::span<const int32_t> tokens, bool last, std::string& text);
  std::string text_of(int32_t token);
  void finish(FinishReason reason);

  const Request* request_;
  const DecodeParams* params_;
  const Tokenizer* tokenizer_;
  std::optional<StreamDecoder> stream_;  // none without a tokenizer
  StopStrings stops_;
  Generation result_;
  bool done_ = false;
  std::optional<Clock::time_point> last_step_;
  Clock::time_point finished_{};
};

}  // namespace orthrus
