// The prompts of /v1/completions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "orthrus/config.h"
#include "orthrus/tokenizer.h"
#include "server/api/fields.h"

namespace orthrus::server::openai {

struct TextPrompt {
  std::vector<int32_t> ids;
  std::optional<std::string> text;  // where it came as one
  std::string field;                // "prompt", "prompt[2]"
};

// "prompt": a text, token ids, or a list of one of them. `tokenizer` may be null, which texts are
// refused without. Throws ApiError.
std::vector<TextPrompt> read_text_prompts(const Fields& body, const ModelConfig& config,
                                          const Tokenizer* tokenizer);

// A list of token ids of this model.
std::vector<int32_t> read_token_ids(const Json& list, const std::string& field,
                                    const ModelConfig& config);

}  // namespace orthrus::server::openai
