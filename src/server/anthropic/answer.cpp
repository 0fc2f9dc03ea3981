#include "server/anthropic/answer.h"

#include <algorithm>
#include <utility>

#include "server/anthropic/error_form.h"
#include "server/api/random_id.h"

namespace orthrus::server::anthropic {

Answer::Answer(std::shared_ptr<Exchange> exchange, MessagesRequest request, int prompt_tokens)
    : exchange_(std::move(exchange)),
      request_(std::move(request)),
      prompt_tokens_(prompt_tokens),
      id_("msg_" + random_id()),
      parser_(request_.prompt.output) {}

Dispatcher::Callbacks Answer::callbacks() {
  return {.on_step = [self = shared_from_this()](const Step& step) { self->step(step); },
          .on_done =
              [self = shared_from_this()](const Generation& generation) { self->done(generation); },
          .on_prefill = [self = shared_from_this()](int done,
                                                    int total) { self->prefill(done, total); }};
}

// While a long prompt is read, so that the client does not take the server for dead.
void Answer::prefill(int done, int total) {
  if (!request_.stream || done >= total) return;
  open();
  exchange_->write(event({{"type", "ping"}}));
}

void Answer::step(const Step& step) {
  open();
  seen_ += step.text.size();
  put(parser_.put(step.text));
}

void Answer::done(const Generation& generation) {
  open();
  const std::string_view text = generation.text;
  put(parser_.put(text.substr(std::min(seen_, text.size()))));
  put(parser_.finish());
  if (!request_.stream) {
    Json body = message(blocks_.take());
    add_end(body, generation);
    exchange_->respond(200, "application/json", to_text(body),
                       {{"request-id", exchange_->request().id}});
    return;
  }
  Json end = {{"type", "message_delta"}, {"delta", Json::object()}};
  add_end(end, generation);
  for (const char* const name : {"stop_reason", "stop_sequence"}) {
    end["delta"][name] = end[name];
    end.erase(name);
  }
  exchange_->write(events_.finish() + event(end) + event({{"type", "message_stop"}}));
  exchange_->end();
}

void Answer::fail(const ApiError& error) {
  if (!opened_ || !request_.stream) return exchange_->fail(error);
  exchange_->write(event(error_body(error, exchange_->request().id)));
  exchange_->end();
}

void Answer::put(std::span<const Delta> deltas) {
  if (deltas.empty()) return;
  if (request_.stream) {
    exchange_->write(events_.put(deltas));
  } else {
    blocks_.add(deltas);
  }
}

// With the first token, or the first part of a long prompt, until when an error can still have a
// status of its own.
void Answer::open() {
  if (std::exchange(opened_, true)) return;
  if (request_.stream) {
    exchange_->begin_stream(200, "text/event-stream; charset=utf-8",
                            {{"Cache-Control", "no-cache"},
                             {"X-Accel-Buffering", "no"},
                             {"request-id", exchange_->request().id}});
    Json start = message(Json::array());
    start["stop_reason"] = nullptr;
    start["stop_sequence"] = nullptr;
    start["usage"] = usage(0, 0);
    exchange_->write(event({{"type", "message_start"}, {"message", std::move(start)}}));
  }
  put(parser_.put(request_.prompt.begun));
}

Json Answer::message(Json content) const {
  return {{"id", id_},
          {"type", "message"},
          {"role", "assistant"},
          {"model", request_.model},
          {"content", std::move(content)}};
}

void Answer::add_end(Json& object, const Generation& generation) const {
  const auto& stops = request_.stop_sequences;
  const GenerationStats& stats = generation.stats;
  Json sequence = nullptr;
  std::string_view reason = "end_turn";
  if (generation.finish_reason == FinishReason::kLength) {
    const bool all = stats.generated >= request_.options.max_tokens;
    reason = all ? "max_tokens" : "model_context_window_exceeded";
  } else if (std::find(stops.begin(), stops.end(), generation.stop_string) != stops.end()) {
    reason = "stop_sequence";
    sequence = generation.stop_string;
  } else if (parser_.calls() > 0) {
    reason = "tool_use";
  }
  object["stop_reason"] = reason;
  object["stop_sequence"] = std::move(sequence);
  object["usage"] = usage(stats.cached_tokens, stats.generated);
  object["orthrus"] = {{"seed", request_.options.sampling.seed},
                       {"tokens_per_forward", stats.tokens_per_forward()},
                       {"acceptance_length", stats.acceptance_length()}};
}

// What the cache had of the prompt is not among the input tokens; a stream knows it at its end.
Json Answer::usage(int cached_tokens, int output_tokens) const {
  return {{"input_tokens", prompt_tokens_ - cached_tokens},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", cached_tokens},
          {"output_tokens", output_tokens}};
}

}  // namespace orthrus::server::anthropic
