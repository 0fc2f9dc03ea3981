// A model directory in the published Hugging Face layout.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/tensor.h"
#include "files/files.h"
#include "orthrus/config.h"

namespace orthrus {

// What config.json and, when present, generation_config.json say. Throws as load_config.
ModelConfig read_huggingface_config(const std::filesystem::path& directory);

struct MappedTensors {
  std::vector<MappedFile> maps;
  std::vector<Tensor> tensors;  // sorted by name; they point into the maps
};

// The tensors of model.safetensors, or of the shards that model.safetensors.index.json names. Where
// both are there, those of the first, as transformers does. Throws Error: kFile for a missing,
// unreadable or malformed file, or for shards that differ from their index; kUnsupported for
// tensors of types other than F32, F16 and BF16.
MappedTensors map_huggingface_weights(const std::filesystem::path& directory);

// What stands for a template where there are several, and none is the default.
inline constexpr std::string_view kNoDefaultTemplate = "{# several templates, none the default #}";

// The text of chat_template.jinja, or of "chat_template" in tokenizer_config.json, of several
// templates the one named "default"; empty when there is none. Throws Error(kFile) when a file that
// is there cannot be read.
std::string read_chat_template(const std::filesystem::path& directory);

}  // namespace orthrus
