#include "orthrus/published_shapes.h"

namespace orthrus {
namespace {

struct Shape {
  std::string_view name;
  bool is_qwen2;
  int hidden_size, intermediate_size, layers, heads, kv_heads, head_dim;
  bool tied;
};

// From the config.json of each: https://huggingface.co/Qwen/Qwen3-0.6B and so on.
constexpr Shape kShapes[] = {{"qwen3-0.6b", false, 1024, 3072, 28, 16, 8, 128, true},
                             {"qwen3-1.7b", false, 2048, 6144, 28, 16, 8, 128, true},
                             {"qwen3-4b", false, 2560, 9728, 36, 32, 8, 128, true},
                             {"qwen3-8b", false, 4096, 12288, 36, 32, 8, 128, false},
                             {"qwen2.5-coder-0.5b", true, 896, 4864, 24, 14, 2, 64, true},
                             {"qwen2.5-coder-1.5b", true, 1536, 8960, 28, 12, 2, 128, true}};

}  // namespace

std::vector<std::string_view> published_shapes() {
  std::vector<std::string_view> names;
  for (const Shape& shape : kShapes) names.push_back(shape.name);
  return names;
}

std::optional<ModelConfig> published_shape(std::string_view name) {
  for (const Shape& shape : kShapes) {
    if (shape.name != name) continue;
    ModelConfig config;
    config.architecture = shape.is_qwen2 ? "Qwen2ForCausalLM" : "OrthrusLM";
    config.dtype = "bfloat16";
    config.vocab_size = 151936;
    config.hidden_size = shape.hidden_size;
    config.intermediate_size = shape.intermediate_size;
    config.num_hidden_layers = shape.layers;
    config.num_attention_heads = shape.heads;
    config.num_key_value_heads = shape.kv_heads;
    config.head_dim = shape.head_dim;
    config.rms_norm_eps = 1e-6f;
    config.rope_theta = 1e6;
    config.max_position_embeddings = shape.is_qwen2 ? 32768 : 40960;
    config.tie_word_embeddings = shape.tied;
    config.has_qk_norm = !shape.is_qwen2;
    config.has_qkv_bias = shape.is_qwen2;
    config.block_size = shape.is_qwen2 ? 16 : 32;
    config.mask_token_id = 151669;
    return config;
  }
  return std::nullopt;
}

}  // namespace orthrus
