#include "checkpoint/gguf/tensor_names.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

namespace orthrus {
namespace {

using Pair = std::pair<std::string_view, std::string_view>;

constexpr std::array kOfModel = {
    Pair{"token_embd", "model.embed_tokens"},
    Pair{"output_norm", "model.norm"},
    Pair{"output", "lm_head"},
    Pair{"pair_previous_diff", "model.pair_previous_diff"},
    Pair{"pair_next_diff", "model.pair_next_diff"},
};

constexpr std::array kOfLayer = {
    Pair{"attn_norm", "input_layernorm"},
    Pair{"attn_q", "self_attn.q_proj"},
    Pair{"attn_k", "self_attn.k_proj"},
    Pair{"attn_v", "self_attn.v_proj"},
    Pair{"attn_output", "self_attn.o_proj"},
    Pair{"attn_q_norm", "self_attn.q_norm"},
    Pair{"attn_k_norm", "self_attn.k_norm"},
    Pair{"attn_q_diff", "self_attn.q_proj_diff"},
    Pair{"attn_k_diff", "self_attn.k_proj_diff"},
    Pair{"attn_v_diff", "self_attn.v_proj_diff"},
    Pair{"attn_output_diff", "self_attn.o_proj_diff"},
    Pair{"attn_q_norm_diff", "self_attn.q_norm_diff"},
    Pair{"attn_k_norm_diff", "self_attn.k_norm_diff"},
    Pair{"ffn_norm", "post_attention_layernorm"},
    Pair{"ffn_gate", "mlp.gate_proj"},
    Pair{"ffn_up", "mlp.up_proj"},
    Pair{"ffn_down", "mlp.down_proj"},
};

// As a file counts layers: no sign, no zero in front.
bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= 6 && (text == "0" || text.front() != '0') &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::optional<std::string> huggingface_name(std::string_view gguf_name) {
  constexpr std::string_view kLayer = "blk.";
  std::string_view rest = gguf_name;
  std::string result;
  const bool in_layer = rest.starts_with(kLayer);
  if (in_layer) {
    rest.remove_prefix(kLayer.size());
    const std::string_view layer = rest.substr(0, rest.find('.'));
    if (!is_number(layer) || layer.size() == rest.size()) return std::nullopt;
    rest.remove_prefix(layer.size() + 1);
    result = "model.layers." + std::string(layer) + ".";
  }
  const size_t dot = rest.rfind('.');
  if (dot == rest.npos) return std::nullopt;
  const std::string_view kind = rest.substr(dot);
  if (kind != ".weight" && kind != ".bias") return std::nullopt;
  const auto translated = [&](std::span<const Pair> names) -> std::optional<std::string> {
    const auto found = std::ranges::find(names, rest.substr(0, dot), &Pair::first);
    if (found == names.end()) return std::nullopt;
    return result.append(found->second).append(kind);
  };
  return in_layer ? translated(kOfLayer) : translated(kOfModel);
}

}  // namespace orthrus
