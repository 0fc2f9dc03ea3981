// An answer of one or more choices, streamed or whole, as the engine gives it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/dispatch.h"
#include "server/openai/choice.h"
#include "server/openai/generation_fields.h"
#include "server/openai/usage.h"

namespace orthrus::server::openai {

// What the answers of a path are called.
struct AnswerNames {
  std::string_view id;            // begins with this: "chatcmpl-"
  std::string_view object;        // "chat.completion"
  std::string_view chunk_object;  // of a streamed piece: "chat.completion.chunk"
};

class Answer : public std::enable_shared_from_this<Answer> {
 public:
  Answer(std::shared_ptr<Exchange> exchange, Dispatcher& dispatcher, const AnswerNames& names,
         GenerationFields fields);

  // Adds `n` choices of this prompt, the seed of each the next one's.
  void add(std::vector<int32_t> prompt, const std::function<std::unique_ptr<Choice>()>& new_choice);

  // Has the engine make them. The dispatcher holds the answer until it is at its end. Throws as
  // Dispatcher::submit.
  void begin();

 private:
  struct Part {
    std::unique_ptr<Choice> choice;
    bool shares_prompt = false;
    Generation generation;  // of a finished choice, until all of the answer is made at once
  };

  void step(size_t index, const Step& step);
  void done(size_t index, Generation generation);
  void fail(const ApiError& error);
  void finish_all();
  void end_choice(size_t index, const Generation& generation);  // of a stream
  Json finish(size_t index, const Generation& generation);      // the members of its last piece

  void begin_stream();
  void end_stream();
  void send(size_t index, Json members, Json more = Json::object());
  void write_chunk(std::string_view choice, const Json& more);
  void write(std::string piece);
  void respond();
  Json envelope(std::string_view object) const;
  Json stop_reason(const Generation& generation) const;
  void add_numbers(Json& body) const;

  const std::shared_ptr<Exchange> exchange_;
  Dispatcher& dispatcher_;
  const AnswerNames names_;
  const GenerationFields fields_;
  const int64_t created_;
  std::vector<Part> parts_;
  std::vector<Request> requests_;  // of each part, until they begin
  Usage usage_;
  size_t left_ = 0;         // choices that are not done
  size_t open_ = 0;         // of a stream: choices whose last piece has not been sent
  std::string chunk_head_;  // of each piece of a stream, up to its choices
  bool streaming_ = false;
  bool together_ = false;  // what is left of a stream is sent at its end
  std::string written_;    // of that
};

}  // namespace orthrus::server::openai
