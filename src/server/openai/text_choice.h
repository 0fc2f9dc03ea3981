// A choice of /v1/completions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "orthrus/tokenizer.h"
#include "server/openai/choice.h"
#include "server/openai/token_trace.h"

namespace orthrus::server::openai {

struct TextChoiceOptions {
  std::optional<std::string> echo;  // the prompt's text, which the answer begins with
  std::vector<int32_t> prompt;      // its tokens; needed with echo
  std::optional<int> logprobs;      // of each token; 0: of those chosen only
  bool no_output = false;           // max_tokens is 0: the token that the engine makes is dropped
  bool return_token_ids = false;
};

class TextChoice final : public Choice {
 public:
  TextChoice(const Tokenizer* tokenizer, TextChoiceOptions options);

  void put(const Step& step) override;
  void finish(const Generation& generation) override;
  bool has_delta() const override;
  Json take_delta() override;
  Json take_whole() override { return take_delta(); }
  std::string_view finish_reason(const Generation& generation) const override;
  int output_tokens(const Generation& generation) const override;

 private:
  bool shows_tokens() const { return options_.logprobs || options_.return_token_ids; }
  void add(std::vector<ShownToken> tokens);
  std::vector<ShownToken> prompt_tokens(const Generation& generation) const;

  const Tokenizer* tokenizer_;
  TextChoiceOptions options_;
  TokenTrace trace_;
  std::string text_;                // that no delta has told
  std::vector<ShownToken> tokens_;  // likewise
  size_t seen_ = 0;                 // bytes of the generation's text
  // Log-probabilities of the prompt, which come first, are known at the end.
  bool waits_ = false;
};

}  // namespace orthrus::server::openai
