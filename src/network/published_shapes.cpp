#include "orthrus/published_shapes.h"

namespace orthrus {
namespace {

struct Shape {
  std::string_view name;
  int hidden_size, intermediate_size, layers, heads;
  bool tied;
};

// From the config.json of each: https://huggingface.co/Qwen/Qwen3-0.6B and so on.
constexpr Shape kShapes[] = {{"qwen3-0.6b", 1024, 3072, 28, 16, true},
                             {"qwen3-1.7b", 2048, 6144, 28, 16, true},
                             {"qwen3-4b", 2560, 9728, 36, 32, true},
                             {"qwen3-8b", 4096, 12288, 36, 32, false}};

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
    config.architecture = "OrthrusLM";
    config.dtype = "bfloat16";
    config.vocab_size = 151936;
    config.hidden_size = shape.hidden_size;
    config.intermediate_size = shape.intermediate_size;
    config.num_hidden_layers = shape.layers;
    config.num_attention_heads = shape.heads;
    config.num_key_value_heads = 8;
    config.head_dim = 128;
    config.rms_norm_eps = 1e-6f;
    config.rope_theta = 1e6;
    config.max_position_embeddings = 40960;
    config.tie_word_embeddings = shape.tied;
    config.block_size = 32;
    config.mask_token_id = 151669;
    return config;
  }
  return std::nullopt;
}

}  // namespace orthrus
