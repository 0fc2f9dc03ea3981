// Small checkpoints with random weights, of any shape and type, written to a directory.
#pragma once

#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

#include "network/network_weights.h"
#include "support/safetensors_writer.h"

namespace orthrus {

inline nlohmann::json small_config_json() {
  return {{"architectures", {"OrthrusLM"}},
          {"hidden_act", "silu"},
          {"attention_bias", false},
          {"vocab_size", 50},
          {"hidden_size", 24},
          {"intermediate_size", 40},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 6},
          {"num_key_value_heads", 2},
          {"head_dim", 10},
          {"rms_norm_eps", 1e-6},
          {"rope_theta", 10000.0},
          {"max_position_embeddings", 256},
          {"tie_word_embeddings", false},
          {"eos_token_id", nullptr},
          {"block_size", 8},
          {"mask_token_id", 49}};
}

inline std::string encode_weight(DType type, float value) {
  if (type == DType::kF32) return std::string(reinterpret_cast<const char*>(&value), 4);
  const auto bits = std::bit_cast<uint32_t>(value);
  uint16_t half = static_cast<uint16_t>(bits >> 16);
  if (type == DType::kF16) {  // truncated; small values only
    const int exponent = static_cast<int>((bits >> 23) & 255) - 112;
    half = static_cast<uint16_t>((bits >> 16) & 0x8000);
    if (exponent > 0) half |= static_cast<uint16_t>((exponent << 10) | ((bits >> 13) & 1023));
  }
  return std::string(reinterpret_cast<const char*>(&half), 2);
}

// The tensors that `config` asks for; matrices scaled so that activations keep their size.
inline std::vector<test::TensorToWrite> random_tensors(const ModelConfig& config, DType type,
                                                       unsigned seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<test::TensorToWrite> tensors;
  for (const TensorSpec& spec : expected_tensors(config)) {
    test::TensorToWrite tensor{spec.name, type, spec.shape, {}};
    const bool matrix = spec.shape.size() == 2;
    const float scale = matrix ? 1.0f / std::sqrt(static_cast<float>(spec.shape[1])) : 0.1f;
    const int64_t count = spec.shape[0] * (matrix ? spec.shape[1] : 1);
    for (int64_t i = 0; i < count; ++i) {
      tensor.bytes += encode_weight(type, normal(random) * scale + (matrix ? 0.0f : 1.0f));
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

inline void write_config(const std::filesystem::path& directory, const nlohmann::json& config) {
  test::write_file(directory / "config.json", config.dump());
}

// A whole checkpoint: config.json and model.safetensors.
inline void write_random_checkpoint(const std::filesystem::path& directory,
                                    const nlohmann::json& config, DType type, unsigned seed = 1) {
  write_config(directory, config);
  test::write_safetensors(directory / "model.safetensors",
                          random_tensors(load_config(directory), type, seed));
}

// One whose weights are finite and whose logits overflow.
inline void write_overflowing_checkpoint(const std::filesystem::path& directory) {
  write_config(directory, small_config_json());
  auto tensors = random_tensors(load_config(directory), DType::kF32);
  for (auto& tensor : tensors) {
    if (tensor.name != "lm_head.weight") continue;
    for (size_t i = 0; i < tensor.bytes.size(); i += 4) {
      tensor.bytes.replace(i, 4, encode_weight(DType::kF32, 3e38f));
    }
  }
  test::write_safetensors(directory / "model.safetensors", tensors);
}

}  // namespace orthrus
