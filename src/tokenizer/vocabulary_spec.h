// A GGUF file's vocabulary, checked.
#pragma once

#include "base/vocabulary.h"
#include "tokenizer/tokenizer_spec.h"

namespace orthrus {

// Throws as Tokenizer::from_vocabulary.
TokenizerSpec read_vocabulary_spec(const Vocabulary& vocabulary);

}  // namespace orthrus
