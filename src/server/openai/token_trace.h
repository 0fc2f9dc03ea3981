// Which tokens of an answer may be shown: those whose text has become certain.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "orthrus/generation.h"
#include "orthrus/tokenizer.h"

namespace orthrus::server::openai {

// A token as an answer shows it.
struct ShownToken {
  int32_t id = 0;
  size_t offset = 0;                      // characters of the text before it
  std::optional<TokenLogprobs> logprobs;  // where they were asked for
};

// A step's tokens come before their text where it is held back, because it may become a stop string
// or is not a whole character. Here they wait for it: what stands in or behind a stop string is
// never shown, neither as text nor as token.
class TokenTrace {
 public:
  // Null: without a tokenizer no text is waited for. `offset`: characters before the answer.
  explicit TokenTrace(const Tokenizer* tokenizer, size_t offset = 0);

  // Those that have become certain, in order.
  std::vector<ShownToken> put(const Step& step);
  // The rest, at the end.
  std::vector<ShownToken> finish(const Generation& generation);

 private:
  struct Waiting {
    ShownToken token;
    size_t begin = 0;   // bytes of the text before it
    size_t needed = 0;  // bytes that are certain when all of it is
  };

  void add(int32_t id, std::optional<TokenLogprobs> logprobs);

  std::optional<StreamDecoder> decoder_;
  std::deque<Waiting> waiting_;
  size_t decoded_ = 0;  // bytes of the text of all tokens
  size_t characters_;   // the same in characters, those before the answer counted
  size_t certain_ = 0;  // bytes of the text that steps have given
};

}  // namespace orthrus::server::openai
