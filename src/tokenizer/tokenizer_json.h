// A tokenizer.json, checked: what remains is what this tokenizer does.
#pragma once

#include <string>
#include <string_view>

#include "tokenizer/tokenizer_config.h"
#include "tokenizer/tokenizer_spec.h"

namespace orthrus {

// With what a tokenizer_config.json, which may be null, says. Throws as Tokenizer::parse.
TokenizerSpec read_tokenizer_spec(std::string_view json, const std::string& name,
                                  const TokenizerConfigText* config = nullptr);

}  // namespace orthrus
