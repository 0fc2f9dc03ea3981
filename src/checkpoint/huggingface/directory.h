// A model directory in the published Hugging Face layout.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/huggingface/quantization_config.h"
#include "checkpoint/tensor.h"
#include "files/files.h"
#include "orthrus/config.h"

namespace orthrus {

// What config.json and, when present, generation_config.json say. Throws as load_config.
ModelConfig read_huggingface_config(const std::filesystem::path& directory);

// How config.json says that matrices are quantized, if they are. Throws as load_config.
std::optional<Quantization> read_huggingface_quantization(const std::filesystem::path& directory);

struct MappedTensors {
  std::vector<MappedFile> maps;
  std::vector<Tensor> tensors;  // sorted by name; they point into the maps
};

// The tensors of model.safetensors, or those that model.safetensors.index.json names, each of the
// file that it names for it: what files hold besides, such as superseded copies, is not looked at.
// Where both are there, model.safetensors counts, as in transformers, unless the index names it as
// one of its files. Throws Error: kFile for a missing, unreadable or malformed file, or for an
// index that names what is not there; and as resolve_quantized.
MappedTensors map_huggingface_weights(const std::filesystem::path& directory,
                                      const std::optional<Quantization>& quantization = {});

// Whether it has model.safetensors or its index.
bool has_huggingface_weights(const std::filesystem::path& directory);

// What stands for a template where there are several, and none is the default.
inline constexpr std::string_view kNoDefaultTemplate = "{# several templates, none the default #}";

// The text of chat_template.jinja, or of "chat_template" in tokenizer_config.json, of several
// templates the one named "default"; empty when there is none. Throws Error(kFile) when a file that
// is there cannot be read.
std::string read_chat_template(const std::filesystem::path& directory);

}  // namespace orthrus
