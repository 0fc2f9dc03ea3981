#include "network/network_weights.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace orthrus {
namespace {

constexpr PerView<std::string_view> kSuffix = {"", "_diff"};
constexpr PerView<std::string_view> kAttentionPart = {"attention (AR view)",
                                                      "attention (diffusion view)"};

MatrixPlaces both(PerView<Matrix>& matrices) {
  return {&matrices.ar, &matrices.diffusion};
}
MatrixPlaces one(View view, Matrix& matrix) {
  MatrixPlaces places;
  places[view] = &matrix;
  return places;
}

}  // namespace

std::span<const View> views(const ModelConfig& config) {
  return std::span(kBothViews).first(config.has_diffusion_view() ? 2 : 1);
}

void for_each_tensor(const ModelConfig& config, NetworkWeights& weights,
                     const std::function<void(const TensorSpec&, MatrixPlaces)>& on_matrix,
                     const std::function<void(const TensorSpec&, std::vector<float>&)>& on_vector) {
  const int64_t hidden = config.hidden_size, intermediate = config.intermediate_size;
  const int64_t q = int64_t{config.num_attention_heads} * config.head_dim;
  const int64_t kv = int64_t{config.num_key_value_heads} * config.head_dim;
  weights.layers.resize(static_cast<size_t>(config.num_hidden_layers));

  on_matrix({"model.embed_tokens.weight", {config.vocab_size, hidden}, "embedding", {}, true},
            {&weights.embed_tokens, nullptr});
  for (size_t i = 0; i < weights.layers.size(); ++i) {
    LayerWeights& layer = weights.layers[i];
    const std::string at = fmt::format("model.layers.{}.", i);
    on_vector({at + "input_layernorm.weight", {hidden}, "norms", {}}, layer.input_layernorm);
    for (const View view : views(config)) {
      AttentionWeights& w = layer.attention[view];
      const auto spec = [&](std::string_view name, std::string_view kind,
                            std::vector<int64_t> shape) {
        return TensorSpec{fmt::format("{}self_attn.{}{}.{}", at, name, kSuffix[view], kind),
                          std::move(shape), kAttentionPart[view], view};
      };
      on_matrix(spec("q_proj", "weight", {q, hidden}), one(view, w.q_proj));
      on_matrix(spec("k_proj", "weight", {kv, hidden}), one(view, w.k_proj));
      on_matrix(spec("v_proj", "weight", {kv, hidden}), one(view, w.v_proj));
      if (config.has_qkv_bias) {
        on_vector(spec("q_proj", "bias", {q}), w.q_bias);
        on_vector(spec("k_proj", "bias", {kv}), w.k_bias);
        on_vector(spec("v_proj", "bias", {kv}), w.v_bias);
      }
      on_matrix(spec("o_proj", "weight", {hidden, q}), one(view, w.o_proj));
      if (config.has_qk_norm) {
        on_vector(spec("q_norm", "weight", {config.head_dim}), w.q_norm);
        on_vector(spec("k_norm", "weight", {config.head_dim}), w.k_norm);
      }
    }
    on_vector({at + "post_attention_layernorm.weight", {hidden}, "norms", {}},
              layer.post_attention_layernorm);
    MlpWeights &ar = layer.mlp.ar, &diffusion = layer.mlp.diffusion;
    on_matrix({at + "mlp.gate_proj.weight", {intermediate, hidden}, "MLP", {}},
              {&ar.gate_proj, &diffusion.gate_proj});
    on_matrix({at + "mlp.up_proj.weight", {intermediate, hidden}, "MLP", {}},
              {&ar.up_proj, &diffusion.up_proj});
    on_matrix({at + "mlp.down_proj.weight", {hidden, intermediate}, "MLP", {}},
              {&ar.down_proj, &diffusion.down_proj});
  }
  on_vector({"model.norm.weight", {hidden}, "norms", {}}, weights.norm);
  on_matrix({"lm_head.weight",
             {config.vocab_size, hidden},
             "LM head",
             {},
             false,
             config.tie_word_embeddings},
            both(weights.lm_head));
  if (config.pair_rank == 0) return;
  const auto table = [&](std::string_view name, Matrix& matrix) {
    on_matrix({fmt::format("model.{}_diff.weight", name),
               {config.vocab_size, config.pair_rank},
               kPairwisePart,
               View::kDiffusion,
               true},
              one(View::kDiffusion, matrix));
  };
  table("pair_previous", weights.pair_previous);
  table("pair_next", weights.pair_next);
}

std::vector<TensorSpec> expected_tensors(const ModelConfig& config) {
  std::vector<TensorSpec> specs;
  NetworkWeights places;
  for_each_tensor(
      config, places,
      [&](const TensorSpec& spec, MatrixPlaces) {
        if (!spec.is_tied_head) specs.push_back(spec);
      },
      [&](const TensorSpec& spec, std::vector<float>&) { specs.push_back(spec); });
  return specs;
}

std::vector<TensorSpec> multiplied_matrices(const ModelConfig& config, View view) {
  std::vector<TensorSpec> specs;
  NetworkWeights places;
  for_each_tensor(
      config, places,
      [&](const TensorSpec& spec, MatrixPlaces) {
        if (!spec.is_table && spec.view.value_or(view) == view) specs.push_back(spec);
      },
      [](const TensorSpec&, std::vector<float>&) {});
  return specs;
}

}  // namespace orthrus
