// What the metadata of a model's GGUF file says, in the terms used everywhere here.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/vocabulary.h"
#include "checkpoint/gguf/gguf.h"
#include "orthrus/config.h"

namespace orthrus {

// The tokenizer, or nothing where the file has none. It points into the file's map. Throws Error:
// kFile for what is malformed, kUnsupported for a tokenizer that is no byte-level BPE. That tokens
// and merges fit together is Tokenizer's to check.
std::optional<Vocabulary> read_gguf_vocabulary(const GgufModel& model);

// The network. Which norms and biases it has, and whether its LM head is tied, is said by the
// tensors alone. Throws Error: kFile for what is missing, malformed or out of range, kUnsupported
// for other architectures and for what would compute something else.
ModelConfig read_gguf_config(const GgufModel& model, const std::optional<Vocabulary>& vocabulary);

// The text of the chat template, or "".
std::string read_gguf_chat_template(const GgufModel& model);

// Gives the tensors of a file Hugging Face's names, and sorts them. Throws Error(kUnsupported) for
// a tensor that is not a Qwen network's.
void translate_names(std::vector<Tensor>& tensors, const std::string& file);

}  // namespace orthrus
