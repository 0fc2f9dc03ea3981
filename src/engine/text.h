// A checkpoint's tokenizer.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "orthrus/tokenizer.h"

namespace orthrus {

// Nothing where the checkpoint has none. Throws as Tokenizer::load.
std::optional<Tokenizer> tokenizer_of(const Checkpoint& checkpoint);

// The ids of a prompt. `tokenizer` may be null, which is an Error(kUsage).
std::vector<int32_t> encode_with(const Tokenizer* tokenizer, std::string_view text);

}  // namespace orthrus
