#include "server/openai/answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <utility>

namespace orthrus::server::openai {
namespace {

// Of what tokens are a function of beside the request.
std::string fingerprint(const Engine& engine, const ServerInfo& info) {
  return fmt::format("orthrus-{}-{}-kv-{}-{}", info.version, names_of(engine.weight_types()),
                     name_of(engine.kv_cache()), name_of(engine.device()));
}

// A choice's members behind its index.
Json choice_json(size_t index, Json members) {
  Json choice = Json::object();
  choice["index"] = index;
  for (auto& [name, value] : members.items()) choice[name] = std::move(value);
  if (!choice.contains("finish_reason")) choice["finish_reason"] = nullptr;
  return choice;
}

}  // namespace

Answer::Answer(std::shared_ptr<Exchange> exchange, Dispatcher& dispatcher, const AnswerNames& names,
               GenerationFields fields)
    : exchange_(std::move(exchange)),
      dispatcher_(dispatcher),
      names_(names),
      fields_(std::move(fields)),
      created_(std::time(nullptr)) {}

void Answer::add(std::vector<int32_t> prompt,
                 const std::function<std::unique_ptr<Choice>()>& new_choice) {
  usage_.add_prompt(static_cast<int>(prompt.size()));
  Request request{
      .prompt = std::move(prompt), .options = fields_.options, .on_step{}, .on_prefill{}};
  for (int i = 0; i < fields_.n; ++i) {
    parts_.push_back({.choice = new_choice(), .shares_prompt = i > 0, .generation = {}});
    requests_.push_back(request);
    ++request.options.sampling.seed;
  }
}

void Answer::begin() {
  left_ = open_ = parts_.size();
  const auto self = shared_from_this();
  std::vector<Dispatcher::Callbacks> callbacks;
  for (size_t i = 0; i < parts_.size(); ++i) {
    callbacks.push_back(
        {.on_step = [self, i](const Step& step) { self->step(i, step); },
         .on_done = [self, i](Generation generation) { self->done(i, std::move(generation)); }});
  }
  dispatcher_.submit(exchange_, std::move(requests_), std::move(callbacks),
                     [self](const ApiError& error) { self->fail(error); });
}

void Answer::step(size_t index, const Step& step) {
  usage_.add_step(step);
  Choice& choice = *parts_[index].choice;
  choice.put(step);
  if (!fields_.stream) return;
  if (!fields_.passes) {
    if (choice.has_delta()) send(index, choice.take_delta());
    return;
  }
  const Json pass = {
      {"tokens", step.tokens.size()}, {"drafted", step.drafted}, {"accepted", step.accepted}};
  send(index, choice.take_delta(), {{"orthrus", pass}});
}

// What the engine need not wait for is made elsewhere, once all are done: with the
// log-probabilities of prompts an answer may have megabytes.
void Answer::done(size_t index, Generation generation) {
  --left_;
  if (fields_.stream && !fields_.options.prompt_logprobs) return end_choice(index, generation);
  parts_[index].generation = std::move(generation);
  if (left_ == 0) exchange_->run_elsewhere([self = shared_from_this()] { self->finish_all(); });
}

// Of a stream in one write: of several, those that come faster than its client reads would cut it.
void Answer::finish_all() {
  if (!fields_.stream) return respond();
  together_ = true;
  for (size_t i = 0; i < parts_.size(); ++i) end_choice(i, parts_[i].generation);
}

void Answer::end_choice(size_t index, const Generation& generation) {
  Json members = finish(index, generation);
  const bool last = --open_ == 0;
  Json more = Json::object();
  if (last && !fields_.include_usage) {
    add_numbers(more);
    more.erase("usage");
  }
  send(index, std::move(members), std::move(more));
  if (last) end_stream();
}

Json Answer::finish(size_t index, const Generation& generation) {
  const Part& part = parts_[index];
  Choice& choice = *part.choice;
  choice.finish(generation);
  usage_.add_choice(generation, choice.output_tokens(generation),
                    choice.reasoning_tokens(generation), part.shares_prompt);
  if (fields_.stream && choice.has_delta()) send(index, choice.take_delta());
  Json members = fields_.stream ? choice.take_delta() : choice.take_whole();
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
  if (fields_.include_usage) {
    Json numbers = Json::object();
    add_numbers(numbers);
    write_chunk("", numbers);
  }
  write("data: [DONE]\n\n");
  if (together_) exchange_->write(std::move(written_));
  exchange_->end();
}

void Answer::write(std::string piece) {
  if (together_) {
    written_ += piece;
  } else {
    exchange_->write(std::move(piece));
  }
}

void Answer::send(size_t index, Json members, Json more) {
  begin_stream();
  if (fields_.include_usage) more["usage"] = nullptr;
  write_chunk(to_text(choice_json(index, std::move(members))), more);
}

// The engine waits for this: what stands in every piece is made once.
void Answer::write_chunk(std::string_view choice, const Json& more) {
  if (chunk_head_.empty()) {
    chunk_head_ = "data: " + to_text(envelope(names_.chunk_object));
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
  write(std::move(chunk += "\n\n"));
}

void Answer::respond() {
  Json body = envelope(names_.object);
  Json choices = Json::array();
  for (size_t i = 0; i < parts_.size(); ++i) {
    choices.push_back(choice_json(i, finish(i, parts_[i].generation)));
  }
  body["choices"] = std::move(choices);
  add_numbers(body);
  exchange_->respond(200, "application/json", to_text(body));
}

Json Answer::envelope(std::string_view object) const {
  return {{"id", std::string(names_.id) + exchange_->request().id},
          {"object", object},
          {"created", created_},
          {"model", dispatcher_.info().model},
          {"system_fingerprint", fingerprint(dispatcher_.engine(), dispatcher_.info())}};
}

// As vLLM has it: the stop string or the further stop token that ended the text.
Json Answer::stop_reason(const Generation& generation) const {
  if (generation.finish_reason != FinishReason::kStop) return nullptr;
  if (!generation.stop_string.empty()) return generation.stop_string;
  const int32_t last = generation.output_ids.back();
  const std::vector<int32_t>& eos = dispatcher_.engine().config().eos_token_ids;
  const bool is_eos = std::find(eos.begin(), eos.end(), last) != eos.end();
  return is_eos ? Json(nullptr) : Json(last);
}

void Answer::add_numbers(Json& body) const {
  body["usage"] = usage_.usage();
  if (Json metrics = usage_.metrics(); !metrics.is_null()) body["metrics"] = std::move(metrics);
  body["orthrus"] = usage_.own(fields_.options.sampling.seed);
}

}  // namespace orthrus::server::openai
