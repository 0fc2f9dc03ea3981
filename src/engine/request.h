// Checking a request, and turning it into the decoder's parameters.
#pragma once

#include "decode/decoder.h"
#include "orthrus/engine.h"

namespace orthrus {

// Throws Error(kUsage), naming the option, its value and its range.
//
// A stop string that is exactly an added token ("<|im_end|>") becomes a stop token, since special
// tokens have no text in which it could be found. `tokenizer` may be null.
DecodeParams check_request(const ModelConfig& config, const Request& request,
                           const Tokenizer* tokenizer);

// Throws Error(kUsage) for an id outside the vocabulary; `what` begins the message: "Prompt token".
void check_token_ids(const ModelConfig& config, std::string_view what,
                     std::span<const int32_t> ids);

// Whether the policy chooses how much this request drafts. Not with the rejection rule at a
// temperature: what that gives depends on the drafts, and must not depend on the clock.
bool chooses(const ModelConfig& config, const Request& request);

}  // namespace orthrus
