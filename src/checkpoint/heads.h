// Heads: what is the diffusion view's alone in a file of its own, for any base of the same shapes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/tensor.h"
#include "files/files.h"
#include "orthrus/config.h"

namespace orthrus {

struct Heads {
  std::string name;                      // of the file, for messages
  std::string base;                      // what the file calls the model that it is for, or ""
  std::optional<int> block_size;         // 2 to limits::kBlock
  std::optional<int32_t> mask_token_id;  // 0 or more
  MappedFile map;
  std::vector<Tensor> tensors;  // by Hugging Face's names, sorted
};

// What heads are taken to mean that say neither block size nor mask: what those published with
// Orthrus-Qwen3 mean, a block of 16 and the first of the rows that Qwen's embeddings leave unused.
// A wrong guess costs drafts that are not accepted, and no more.
inline constexpr int kUsualBlockSize = 16;
inline constexpr int32_t kUsualMaskTokenId = 151669;

// Reads a file of heads:
// - safetensors: tensors model.layers.N.self_attn.q_proj_diff.weight and so on, and in the metadata
//   block_size, mask_token_id and base, all optional;
// - GGUF: general.architecture "orthrus-heads", or "orthrus" for a model with heads, of which only
//   they are taken; blk.N.attn_q_diff.weight and so on; orthrus.diffusion.block_size,
//   tokenizer.ggml.mask_token_id and orthrus.heads.base, all optional.
// With a pairwise term also model.pair_previous_diff.weight and model.pair_next_diff.weight, in
// GGUF without "model.", both [vocab_size, rank]. Throws Error for what is malformed. That the
// tensors fit a model is check_heads' to check.
Heads open_heads(const std::filesystem::path& file);

// The rank of the pairwise term among a diffusion view's tensors, sorted: the columns of its first
// table. 0 where there is none. Throws Error(kFile) naming `file` for one that is no table of 1 to
// limits::kPairRank columns; that both are there and alike is check_tensors' to check.
int pair_rank_of(std::span<const Tensor> tensors, const std::string& file);

// The heads that lie beside a model: for DIR/NAME.gguf the first of NAME.heads.gguf,
// NAME.heads.safetensors, heads.gguf and heads.safetensors in DIR; for a directory one of the last
// two in it. Where the model is a link, and none lie beside that, those beside what it leads to.
std::optional<std::filesystem::path> find_heads(const std::filesystem::path& model);

// Whether a file's name is one under which find_heads looks for heads.
bool is_name_of_heads(const std::filesystem::path& name);

// Whether two models' names may name the same one: one begins with the other, where only letters
// and digits behind the last slash count. "Qwen2.5-Coder-0.5B-Instruct" is
// "Qwen/Qwen2.5 Coder 0.5B Instruct AWQ". No name may be any.
bool may_be_same_model(const std::string& a, const std::string& b);

}  // namespace orthrus
