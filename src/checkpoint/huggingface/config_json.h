// ModelConfig from the texts of config.json and generation_config.json.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "checkpoint/huggingface/quantization_config.h"
#include "orthrus/config.h"

namespace orthrus {

struct NamedText {
  std::string name;  // stands for the file in messages
  std::string_view text;
};

// As load_config. The message has a line for each field that is wrong.
ModelConfig parse_config(const NamedText& config, const std::optional<NamedText>& generation);

// How config.json says that matrices are quantized, if they are. Throws as load_config.
std::optional<Quantization> parse_quantization(const NamedText& config);

}  // namespace orthrus
