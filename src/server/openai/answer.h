// An answer of one or more choices, streamed or whole, as the engine gives it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/dispatch.h"
#include "server/openai/choice.h"
#include "server/openai/generation_fields.h"
#include "server/openai/usage.h"

namespace orthrus::server::openai {

// What stands in every piece of an answer, and how it is given.
struct Envelope {
  std::string id;            // "chatcmpl-..."
  std::string object;        // "chat.completion"
  std::string chunk_object;  // of a streamed piece: "chat.completion.chunk"
  std::string model;
  std::string fingerprint;  // of what the answer depends on besides the request
  bool stream = false, include_usage = false, passes = false;
  uint64_t seed = 0;  // of the first choice
};

// A fingerprint: version, weights, cache and device, of which tokens are a function.
std::string fingerprint(const Engine& engine, const ServerInfo& info);

class Answer : public std::enable_shared_from_this<Answer> {
 public:
  Answer(std::shared_ptr<Exchange> exchange, Envelope envelope, std::vector<int32_t> eos);

  // Adds the next choice. `prompt_tokens`: of its prompt, or nothing where it shares the one
  // before's.
  void add(std::unique_ptr<Choice> choice, std::optional<int> prompt_tokens);

  // Has the engine make them, of a request each. The dispatcher holds the answer until it is at its
  // end. Throws as Dispatcher::submit.
  void begin(Dispatcher& dispatcher, std::vector<Request> requests);

 private:
  struct Part {
    std::unique_ptr<Choice> choice;
    bool shares_prompt = false;
    Generation generation;  // of a finished choice of an answer that is not streamed
  };

  void step(size_t index, const Step& step);
  void done(size_t index, Generation generation);
  void fail(const ApiError& error);
  Json finish(size_t index, const Generation& generation);  // the members of its last piece

  void begin_stream();
  void end_stream();
  void send(size_t index, Json members, Json own = nullptr);
  void write_chunk(std::string_view choice, const Json& more);
  void respond();
  Json envelope(const std::string& object) const;
  Json stop_reason(const Generation& generation) const;
  void add_numbers(Json& body) const;

  const std::shared_ptr<Exchange> exchange_;
  const Envelope envelope_;
  const std::vector<int32_t> eos_;
  const int64_t created_;
  std::vector<Part> parts_;
  Usage usage_;
  size_t left_ = 0;         // choices that are not done
  std::string chunk_head_;  // of each piece of a stream, up to its choices
  bool streaming_ = false;
};

}  // namespace orthrus::server::openai
