// What a tokenizer_config.json says of added tokens, which tokenizer.json may say otherwise.
#pragma once

#include <string>
#include <string_view>

#include "tokenizer/tokenizer_spec.h"

namespace orthrus {

struct TokenizerConfigText {
  std::string_view json;
  std::string name;  // of the file, for messages
};

// Adds to `spec`, of which vocab, added_tokens and normalize are there and read from the file
// `tokenizer_name`, as transformers does:
// - the tokens of added_tokens_decoder, whose flags are those that count. A token that stands only
//   there must have the next free id, which transformers would give it whatever it says.
// - eos_token and the like are special.
// Throws Error: kFile for what is malformed, or tokens whose ids differ between the files;
// kUnsupported as read_added_token.
void add_tokens_of_config(const TokenizerConfigText& config, const std::string& tokenizer_name,
                          TokenizerSpec& spec);

}  // namespace orthrus
