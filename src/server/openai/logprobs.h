// Tokens and their log-probabilities as JSON, in the form of chat and in that of text completions.
#pragma once

#include <span>

#include "orthrus/tokenizer.h"
#include "server/api/fields.h"
#include "server/openai/token_trace.h"

namespace orthrus::server::openai {

// {"content": [{"token", "logprob", "bytes", "top_logprobs": [{"token", "logprob", "bytes"}]}],
// "refusal": null}. Of `tokens` those that have log-probabilities.
Json chat_logprobs(const Tokenizer* tokenizer, std::span<const ShownToken> tokens);

// {"text_offset", "tokens", "token_logprobs", "top_logprobs"}, lists of equal length. A token that
// is not whole UTF-8 is "bytes:\xe2\x80"; one without log-probabilities, as the first of a prompt
// is, has null in their places. With `top` false all of top_logprobs is null.
Json text_logprobs(const Tokenizer* tokenizer, std::span<const ShownToken> tokens, bool top);

// The ids alone.
Json token_ids(std::span<const ShownToken> tokens);

}  // namespace orthrus::server::openai
