// A choice of /v1/chat/completions.
#pragma once

#include <string>
#include <vector>

#include "orthrus/tokenizer.h"
#include "server/openai/choice.h"
#include "server/openai/token_trace.h"
#include "server/output/parser.h"

namespace orthrus::server::openai {

struct ChatChoiceOptions {
  OutputOptions output;
  // What the prompt ends with of the answer's own text: the beginning of a call that the model must
  // make.
  std::string begun;
  bool logprobs = false;
  bool return_token_ids = false;
};

class ChatChoice final : public Choice {
 public:
  ChatChoice(const Tokenizer* tokenizer, ChatChoiceOptions options);

  void put(const Step& step) override;
  void finish(const Generation& generation) override;
  Json opening() const override;
  bool has_delta() const override;
  Json take_delta() override;
  Json take_whole() override;
  std::string_view finish_reason(const Generation& generation) const override;
  int reasoning_tokens(const Generation& generation) const override;

 private:
  bool shows_tokens() const { return options_.logprobs || options_.return_token_ids; }
  void add(std::vector<Delta> deltas);
  void add_tokens(std::vector<ShownToken> tokens);
  void take_tokens(Json& members);

  const Tokenizer* tokenizer_;
  ChatChoiceOptions options_;
  OutputParser parser_;
  TokenTrace trace_;
  std::vector<Delta> deltas_;       // that have not been handed out
  std::vector<ShownToken> tokens_;  // likewise
  size_t seen_ = 0;                 // bytes of the generation's text
};

}  // namespace orthrus::server::openai
