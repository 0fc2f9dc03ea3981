// The shapes of the published checkpoints, for measuring without a file.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "orthrus/config.h"

namespace orthrus {

// "qwen3-0.6b", "qwen3-1.7b", "qwen3-4b", "qwen3-8b", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b".
std::vector<std::string_view> published_shapes();

// That network with a diffusion view: of block size 32, as Orthrus-Qwen3 has it, or with heads of
// block size 16. Nothing for a name that is not one of those.
std::optional<ModelConfig> published_shape(std::string_view name);

}  // namespace orthrus
