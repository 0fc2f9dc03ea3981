// A checkpoint's tokenizer.
#pragma once

#include <optional>

#include "checkpoint/checkpoint.h"
#include "orthrus/tokenizer.h"

namespace orthrus {

// Nothing where the checkpoint has none. Throws as Tokenizer::load.
std::optional<Tokenizer> tokenizer_of(const Checkpoint& checkpoint);

}  // namespace orthrus
