// What a checkpoint says of its network, checked: config.json and generation_config.json, or the
// metadata of a GGUF file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "orthrus/sampling.h"

namespace orthrus {

// The architecture of a Qwen2, Qwen3 or Orthrus checkpoint. Field names are Hugging Face's.
// Every value has been checked to be usable; see load_config for the ranges.
struct ModelConfig {
  std::string architecture;   // "OrthrusLM", "Qwen3ForCausalLM" or "Qwen2ForCausalLM"
  std::string name;           // as the checkpoint calls itself, or ""; any text
  std::string dtype;          // as config.json says it ("bfloat16"), or "" when it does not
  int vocab_size = 0;         // rows of the embedding
  int hidden_size = 0;        // width of the residual stream
  int intermediate_size = 0;  // width of the MLP
  int num_hidden_layers = 0;
  int num_attention_heads = 0;  // query heads
  int num_key_value_heads = 0;  // divides num_attention_heads
  int head_dim = 0;             // even
  float rms_norm_eps = 0;
  double rope_theta = 0;
  int max_position_embeddings = 0;  // longest context: prompt plus generated tokens
  bool tie_word_embeddings = false;
  bool has_qk_norm = true;    // RMSNorm of each head of q and k: Qwen3 has it, Qwen2 does not
  bool has_qkv_bias = false;  // biases of the q, k and v projections: Qwen2 has them
  // generation_config.json's, else config.json's; of a GGUF file those of its metadata. May be
  // empty.
  std::vector<int32_t> eos_token_ids;
  // What generation_config.json suggests, greedy when it asks for nothing: its suppress_tokens are
  // biases of -infinity. Requests are not given it by themselves.
  SamplingParams generation;
  std::vector<std::string> stop_strings;  // likewise: texts end before them
  // What generation_config.json asks for that would change texts, and is not done: a sentence each.
  std::vector<std::string> warnings;

  // The diffusion view; block_size is 0 and mask_token_id -1 when the checkpoint has none.
  int block_size = 0;  // most tokens of a block [anchor, MASK, ...], >= 2
  int32_t mask_token_id = -1;
  // Columns of the tables of its pairwise term, by which a draft knows the token before it; 0 where
  // it has none. The tensors say: load_config does not know.
  int pair_rank = 0;

  bool has_diffusion_view() const { return block_size > 0; }
};

// Of a directory, reads config.json and, when present, generation_config.json; of a GGUF file, its
// metadata, and so of a directory that has one GGUF model and no other weights. Heads that lie
// beside the model are not looked for. Throws Error: kFile for missing or malformed files,
// kUnsupported for features named in them that the engine does not do (sliding windows, rope
// scaling, experts, ...).
ModelConfig load_config(const std::filesystem::path& model);

}  // namespace orthrus
