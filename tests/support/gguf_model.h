// Whole models as GGUF files: of any shape, with random weights in any format.
#pragma once

#include <cmath>
#include <filesystem>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/half.h"
#include "network/network_weights.h"
#include "support/gguf_writer.h"
#include "support/random_checkpoint.h"

namespace orthrus::test {

// "model.layers.3.self_attn.q_proj.bias" as GGUF names it: "blk.3.attn_q.bias".
inline std::string gguf_name(std::string name) {
  constexpr std::pair<std::string_view, std::string_view> kParts[] = {
      {"model.embed_tokens", "token_embd"},
      {"model.norm", "output_norm"},
      {"model.pair_", "pair_"},
      {"lm_head", "output"},
      {"model.layers.", "blk."},
      {"input_layernorm", "attn_norm"},
      {"post_attention_layernorm", "ffn_norm"},
      {"mlp.gate_proj", "ffn_gate"},
      {"mlp.up_proj", "ffn_up"},
      {"mlp.down_proj", "ffn_down"},
      {"self_attn.o_proj", "attn_output"},
      {"self_attn.", "attn_"},
      {"_proj", ""},
  };
  for (const auto& [theirs, ggufs] : kParts) {
    const size_t at = name.find(theirs);
    if (at != name.npos) name.replace(at, theirs.size(), ggufs);
  }
  return name;
}

// A matrix of random blocks, whose numbers are about as large as those of random_tensors().
inline std::string random_blocks(const Format& format, int64_t rows, int64_t columns,
                                 std::mt19937& random) {
  const size_t block = static_cast<size_t>(format.block_bytes);
  std::string bytes(bytes_of(format, static_cast<size_t>(rows * columns)), '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  // What a block's quants and scales come to, without its f16 scale.
  const float typical = format.type == DType::kQ8_0     ? 70
                        : format.type == DType::kQ4_0   ? 5
                        : format.type == DType::kQ5_0   ? 9
                        : format.type == DType::kIQ4_NL ? 60
                        : format.type == DType::kQ6_K   ? 18 * 70
                        : format.type == DType::kIQ4_XS ? 18 * 60
                                                        : 36 * 16;
  const F16 scale = to_f16(1.0f / (typical * std::sqrt(static_cast<float>(columns))));
  const F16 minimum = to_f16(8.0f / (typical * std::sqrt(static_cast<float>(columns))));
  for (size_t at = 0; at < bytes.size(); at += block) {
    const size_t place = format.type == DType::kQ6_K ? block - sizeof scale : 0;
    std::memcpy(bytes.data() + at + place, &scale, sizeof scale);
    if (format.has_minimums) std::memcpy(bytes.data() + at + 2, &minimum, sizeof minimum);
  }
  return bytes;
}

// The tensors that `config` asks for: matrices of `type`, whose blocks must divide their columns,
// vectors of F32.
inline std::vector<TensorToWrite> random_tensors_in(const ModelConfig& config, DType type,
                                                    unsigned seed = 1) {
  const Format& format = format_of(type);
  std::vector<TensorToWrite> tensors =
      random_tensors(config, format.stores_blocks() ? DType::kF32 : type, seed);
  std::vector<TensorToWrite> vectors = random_tensors(config, DType::kF32, seed);
  std::mt19937 random(seed);
  for (size_t i = 0; i < tensors.size(); ++i) {
    TensorToWrite& tensor = tensors[i];
    if (tensor.shape.size() == 1) {
      tensor = std::move(vectors[i]);
    } else if (format.stores_blocks()) {
      tensor.type = type;
      tensor.bytes = random_blocks(format, tensor.shape[0], tensor.shape[1], random);
    }
  }
  return tensors;
}

// The type of a matrix in a file of mixed formats: Q4_K, and in the first layer Q6_K where files
// called Q4_K_M have it, as for the LM head; in others such as lie beside Q4_K in no file. Of gate
// and up there is a form on a CUDA device that holds both in the first layer, in others none.
inline DType mixed_type(const std::string& name) {
  const auto has = [&](const char* part) { return name.find(part) != std::string::npos; };
  if (has("lm_head")) return DType::kQ6_K;
  if (has("layers.0.mlp.gate_proj")) return DType::kQ5_K;
  if (has("layers.0.")) return has("v_proj") || has("down_proj") ? DType::kQ6_K : DType::kQ4_K;
  if (has("k_proj")) return DType::kQ8_0;
  if (has("o_proj")) return DType::kQ5_K;
  return has("up_proj") ? DType::kQ6_K : DType::kQ4_K;
}

// Likewise, of such types.
inline std::vector<TensorToWrite> random_mixed_tensors(const ModelConfig& config,
                                                       unsigned seed = 1) {
  std::vector<TensorToWrite> tensors = random_tensors_in(config, DType::kQ4_K, seed);
  std::mt19937 random(seed);
  for (TensorToWrite& tensor : tensors) {
    const DType type = mixed_type(tensor.name);
    if (tensor.shape.size() == 1 || type == tensor.type) continue;
    tensor.type = type;
    tensor.bytes = random_blocks(format_of(type), tensor.shape[0], tensor.shape[1], random);
  }
  return tensors;
}

// The metadata and tensors of a network, which may be changed before it is written. Without a
// tokenizer.
inline GgufWriter gguf_of(const ModelConfig& config, const std::vector<TensorToWrite>& tensors) {
  const std::string name = config.has_diffusion_view() ? "orthrus"
                           : config.has_qkv_bias       ? "qwen2"
                                                       : "qwen3";
  const auto u32 = [](int value) { return static_cast<uint32_t>(value); };
  GgufWriter writer;
  writer.text("general.architecture", name)
      .u32(name + ".block_count", u32(config.num_hidden_layers))
      .u32(name + ".context_length", u32(config.max_position_embeddings))
      .u32(name + ".embedding_length", u32(config.hidden_size))
      .u32(name + ".feed_forward_length", u32(config.intermediate_size))
      .u32(name + ".attention.head_count", u32(config.num_attention_heads))
      .u32(name + ".attention.head_count_kv", u32(config.num_key_value_heads))
      .u32(name + ".attention.key_length", u32(config.head_dim))
      .u32(name + ".attention.value_length", u32(config.head_dim))
      .f32(name + ".attention.layer_norm_rms_epsilon", config.rms_norm_eps)
      .f32(name + ".rope.freq_base", static_cast<float>(config.rope_theta));
  if (config.has_diffusion_view()) {
    writer.u32("orthrus.diffusion.block_size", u32(config.block_size))
        .u32("tokenizer.ggml.mask_token_id", u32(config.mask_token_id));
  }
  for (const TensorToWrite& tensor : tensors) {
    TensorToWrite renamed = tensor;
    renamed.name = gguf_name(tensor.name);
    writer.tensor(renamed);
  }
  return writer;
}

inline void write_random_gguf(const std::filesystem::path& path, const ModelConfig& config,
                              DType type, unsigned seed = 1) {
  gguf_of(config, random_tensors_in(config, type, seed)).write(path);
}

}  // namespace orthrus::test
