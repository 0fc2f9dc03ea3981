// Checkpoints for tests of exactness: their drafts are right often enough, and the last bits of
// sums decide which token is the likeliest.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "support/gguf_model.h"
#include "support/near_ties.h"

namespace orthrus {

// Near ties (near_ties.h) of a Qwen2: with biases of q, k and v, without norms of heads, seven
// query heads to a key head. With a pairwise term where `pair_rank` is not 0.
inline void write_qwen2_near_ties(const std::filesystem::path& file, int pair_rank = 0) {
  ModelConfig config;
  config.vocab_size = 300;
  config.hidden_size = kNearTiesHidden;
  config.intermediate_size = 104;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 14;
  config.num_key_value_heads = 2;
  config.head_dim = 16;
  config.rms_norm_eps = 1e-6f;
  config.rope_theta = 10000;
  config.max_position_embeddings = 1024;
  config.has_qk_norm = false;
  config.has_qkv_bias = true;
  config.block_size = 24;
  config.mask_token_id = 299;
  config.pair_rank = pair_rank;
  auto tensors = random_tensors(config, DType::kF32);
  make_near_ties(tensors, kNearTiesHidden);
  test::gguf_of(config, tensors).write(file);
}

// The same in a number format of blocks, as which matrices of 256 and 512 columns can be stored, or
// in several where none is given. The diffusion view has the AR view's attention: such drafts are
// right often enough for a test.
inline void write_block_near_ties(const std::filesystem::path& file, bool qwen2,
                                  std::optional<DType> type) {
  ModelConfig config;
  config.vocab_size = 300;
  config.hidden_size = 512;
  config.intermediate_size = 256;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 8;
  config.num_key_value_heads = 2;
  config.head_dim = 32;
  config.rms_norm_eps = 1e-6f;
  config.rope_theta = 10000;
  config.max_position_embeddings = 1024;
  config.has_qk_norm = !qwen2;
  config.has_qkv_bias = qwen2;
  config.block_size = 24;
  config.mask_token_id = 299;
  auto tensors = type ? test::random_tensors_in(config, *type) : test::random_mixed_tensors(config);
  for (test::TensorToWrite& tensor : tensors) {
    std::string of_ar = tensor.name;
    constexpr std::string_view kSuffix = "_diff";
    const size_t at = of_ar.find(kSuffix);
    if (at == of_ar.npos) continue;
    of_ar.erase(at, kSuffix.size());
    const auto twin = std::ranges::find(tensors, of_ar, &test::TensorToWrite::name);
    tensor.type = twin->type, tensor.bytes = twin->bytes;
  }
  make_near_ties(tensors, config.hidden_size);
  test::gguf_of(config, tensors).write(file);
}

}  // namespace orthrus
