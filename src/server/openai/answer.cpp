#include "server/openai/answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <utility>

namespace orthrus::server::openai {
namespace {  // A choice's members behind its index.
Json choice_json(size_t index, Json members) {
  Json choice = Json::object();
  choice["index"] = index;
  for (auto& [name, value] : members.items()) choice[name] = std::move(value);
  if (!choice.contains("finish_reason")) choice["finish_reason"] = nullptr;
  return choice;
}

}  // namespace

std::string fingerprint(const Engine& engine, const ServerInfo& info) {
  return fmt::format("orthrus-{}-{}-kv-{}-{}", info.version, names_of(engine.weight_types()),
                     name_of(engine.kv_cache()), name_of(engine.device()));
}

Answer::Answer(std::shared_ptr<Exchange> exchange, Envelope envelope, std::vector<int32_t> eos)
    : exchange_(std::move(exchange)),
      envelope_(std::move(envelope)),
      eos_(std::move(eos)),
      created_(std::time(nullptr)) {}

void Answer::add(std::unique_ptr<Choice> choice, std::optional<int> prompt_tokens) {
  parts_.push_back({.choice = std::move(choice), .shares_prompt = !prompt_tokens, .generation = {}});
  usage_.add_prompt(prompt_tokens.value_or(0));
  ++left_;
}

void Answer::begin(Dispatcher& dispatcher, std::vector<Request> requests) {
  const auto self = shared_from_this();
  std::vector<Dispatcher::Callbacks> callbacks;
  for (size_t i = 0; i < parts_.size(); ++i) {
    callbacks.push_back(
        {.on_step = [self, i](const Step& step) { self->step(i, step); },
         .on_done = [self, i](Generation generation) { self->done(i, std::move(generation)); }});
  }
  dispatcher.submit(exchange_, std::move(requests), std::move(callbacks),
                    [self](const ApiError& error) { self->fail(error); });
}

void Answer::step(size_t index, const Step& step) {
  usage_.add_step(step);
  Choice& choice = *parts_[index].choice;
  choice.put(step);
  if (!envelope_.stream) return;
  if (!envelope_.passes) {
    if (choice.has_delta()) send(index, choice.take_delta());
    return;
  }
  send(index, choice.take_delta(),
       {{"tokens", step.tokens.size()}, {"drafted", step.drafted}, {"accepted", step.accepted}});
}

void Answer::done(size_t index, Generation generation) {
  --left_;
  if (!envelope_.stream) {
    parts_[index].generation = std::move(generation);
    // It may be megabytes, as with the log-probabilities of a prompt; the engine does not wait.
    if (left_ == 0) exchange_->run_elsewhere([self = shared_from_this()] { self->respond(); });
    return;
  }
  send(index, finish(index, generation));
  if (left_ == 0) end_stream();
}

Json Answer::finish(size_t index, const Generation& generation) {
  const Part& part = parts_[index];
  Choice& choice = *part.choice;
  choice.finish(generation);
  usage_.add_choice(generation, choice.output_tokens(generation),
                    choice.reasoning_tokens(generation), part.shares_prompt);
  if (envelope_.stream && choice.has_delta()) send(index, choice.take_delta());
  Json members = envelope_.stream ? choice.take_delta() : choice.take_whole();
  members["finish_reason"] = choice.finish_reason(generation);
  members["stop_reason"] = stop_reason(generation);
  return members;
}

void Answer::fail(const ApiError& error) {
  if (!streaming_) return exchange_->fail(error);
  exchange_->write("data: " + openai_json(error) + "\n\n");
  exchange_->write("data: [DONE]\n\n");
  exchange_->end();
}

void Answer::begin_stream() {
  if (std::exchange(streaming_, true)) return;
  exchange_->begin_stream(200, "text/event-stream; charset=utf-8",
                          {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}});
  for (size_t i = 0; i < parts_.size(); ++i) {
    Json opening = parts_[i].choice->opening();
    if (!opening.is_null()) send(i, std::move(opening));
  }
}

void Answer::end_stream() {
  if (envelope_.include_usage) {
    Json numbers = Json::object();
    add_numbers(numbers);
    write_chunk("", numbers);
  }
  exchange_->write("data: [DONE]\n\n");
  exchange_->end();
}

void Answer::send(size_t index, Json members, Json own) {
  begin_stream();
  const Json choice = choice_json(index, std::move(members));
  const bool last = !choice["finish_reason"].is_null() && left_ == 0;
  Json more = Json::object();
  if (envelope_.include_usage) {
    more["usage"] = nullptr;
  } else if (last) {
    add_numbers(more);
    more.erase("usage");
  }
  if (!own.is_null()) more["orthrus"] = std::move(own);
  write_chunk(to_text(choice), more);
}

// The engine waits for this: what stands in every piece is made once.
void Answer::write_chunk(std::string_view choice, const Json& more) {
  if (chunk_head_.empty()) {
    chunk_head_ = "data: " + to_text(envelope(envelope_.chunk_object));
    chunk_head_.back() = ',';
    chunk_head_ += "\"choices\":[";
  }
  std::string chunk = chunk_head_;
  chunk.append(choice) += ']';
  if (more.empty()) {
    chunk += '}';
  } else {
    chunk.append(",").append(to_text(more), 1);
  }
  exchange_->write(std::move(chunk += "\n\n"));
}

void Answer::respond() {
  Json body = envelope(envelope_.object);
  Json choices = Json::array();
  for (size_t i = 0; i < parts_.size(); ++i) {
    choices.push_back(choice_json(i, finish(i, parts_[i].generation)));
  }
  body["choices"] = std::move(choices);
  add_numbers(body);
  exchange_->respond(200, "application/json", to_text(body));
}

Json Answer::envelope(const std::string& object) const {
  return {{"id", envelope_.id},
          {"object", object},
          {"created", created_},
          {"model", envelope_.model},
          {"system_fingerprint", envelope_.fingerprint}};
}

// As vLLM has it: the stop string or the further stop token that ended the text.
Json Answer::stop_reason(const Generation& generation) const {
  if (generation.finish_reason != FinishReason::kStop) return nullptr;
  if (!generation.stop_string.empty()) return generation.stop_string;
  const int32_t last = generation.output_ids.back();
  const bool eos = std::find(eos_.begin(), eos_.end(), last) != eos_.end();
  return eos ? Json(nullptr) : Json(last);
}

void Answer::add_numbers(Json& body) const {
  body["usage"] = usage_.usage();
  if (Json metrics = usage_.metrics(); !metrics.is_null()) body["metrics"] = std::move(metrics);
  body["orthrus"] = usage_.own(envelope_.seed);
}

}  // namespace orthrus::server::openai
