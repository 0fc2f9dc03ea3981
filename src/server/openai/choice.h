// One choice of an answer, while it is being made.
#pragma once

#include <string>
#include <string_view>

#include "orthrus/generation.h"
#include "server/api/fields.h"

namespace orthrus::server::openai {

// Takes in what the engine gives, and hands it out as the members of a choice: in pieces for a
// stream, or all at once. Both are made of the same text, so that joined pieces equal the whole.
class Choice {
 public:
  virtual ~Choice() = default;

  virtual void put(const Step& step) = 0;
  virtual void finish(const Generation& generation) = 0;

  // What a stream's choice begins with; null: nothing.
  virtual Json opening() const { return nullptr; }
  // Whether something has been put that no delta has told yet.
  virtual bool has_delta() const = 0;
  // The members of a streamed choice with what has come since the last one; of a finished choice
  // with nothing new, empty ones.
  virtual Json take_delta() = 0;
  // The members of a choice of an answer that is not streamed.
  virtual Json take_whole() = 0;
  // "stop", "length" or "tool_calls", of a finished one.
  virtual std::string_view finish_reason(const Generation& generation) const;
  // How many of its tokens were thinking; 0 where there is none.
  virtual int reasoning_tokens(const Generation&) const { return 0; }
  // Of a finished one, the tokens that count as its output.
  virtual int output_tokens(const Generation& generation) const;
};

}  // namespace orthrus::server::openai
