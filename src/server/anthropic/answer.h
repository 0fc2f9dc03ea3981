// The answer to a request to /v1/messages, streamed or whole, as the engine gives it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "server/anthropic/content_blocks.h"
#include "server/anthropic/messages_request.h"
#include "server/dispatch.h"
#include "server/output/parser.h"

namespace orthrus::server::anthropic {

class Answer : public std::enable_shared_from_this<Answer> {
 public:
  Answer(std::shared_ptr<Exchange> exchange, MessagesRequest request, int prompt_tokens);

  // They hold the answer, and are called by one thread, as fail() is.
  Dispatcher::Callbacks callbacks();
  // In place of what has not come yet.
  void fail(const ApiError& error);

 private:
  void prefill(int done, int total);
  void step(const Step& step);
  void done(const Generation& generation);
  void put(std::span<const Delta> deltas);
  void open();

  Json message(Json content) const;
  void add_end(Json& object, const Generation& generation) const;
  Json usage(int cached_tokens, int output_tokens) const;

  const std::shared_ptr<Exchange> exchange_;
  const MessagesRequest request_;
  const int prompt_tokens_;
  const std::string id_;
  OutputParser parser_;
  ContentBlocks blocks_;
  ContentEvents events_;
  size_t seen_ = 0;  // bytes of the generation's text
  bool opened_ = false;
};

}  // namespace orthrus::server::anthropic
