// The names that a Qwen network's tensors have in GGUF files, in Hugging Face's words.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace orthrus {

// "blk.3.attn_q.bias" is "model.layers.3.self_attn.q_proj.bias". Nothing for other names. Each name
// has one translation, and no two the same.
std::optional<std::string> huggingface_name(std::string_view gguf_name);

}  // namespace orthrus
