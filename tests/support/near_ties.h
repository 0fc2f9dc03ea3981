// Checkpoints where the last bits of sums decide which token is the likeliest.
#pragma once

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "support/random_checkpoint.h"

namespace orthrus {

// A checkpoint where rounding decides nearly every token. The residual stream's upper half repeats
// its lower half, since the weights that write it do; and of each pair of the head's rows one is
// the other with its halves exchanged. So the two logits of a pair are sums of the same numbers in
// another order, and the last bits say which is larger. Whatever changes a bit of an activation, or
// an order of additions, changes ids, in every type of weights.
inline constexpr int64_t kNearTiesHidden = 72;

// Halves must be whole blocks.
inline void make_near_ties(std::vector<test::TensorToWrite>& tensors, int64_t hidden) {
  for (auto& tensor : tensors) {
    std::string& bytes = tensor.bytes;
    const auto is = [&](const char* part) { return tensor.name.find(part) != std::string::npos; };
    const auto repeat_half = [&](size_t at, size_t half) {
      std::memcpy(&bytes[at + half], &bytes[at], half);
    };
    const size_t row = bytes.size() / static_cast<size_t>(tensor.shape[0]), half = row / 2;
    if (is("embed_tokens")) {
      for (size_t at = 0; at < bytes.size(); at += row) repeat_half(at, half);
    } else if (is("lm_head")) {
      for (size_t at = 0; at < bytes.size(); at += 2 * row) {
        std::memcpy(&bytes[at + row], &bytes[at + half], half);
        std::memcpy(&bytes[at + row + half], &bytes[at], half);
      }
    } else if (is("o_proj") || is("down_proj") || tensor.shape == std::vector{hidden}) {
      repeat_half(0, bytes.size() / 2);
    }
  }
}

// With a pairwise term where `pair_rank` is not 0.
inline void write_near_ties(const std::filesystem::path& directory, DType type = DType::kF32,
                            int pair_rank = 0) {
  auto config = small_config_json();
  config["vocab_size"] = 300;
  config["mask_token_id"] = 299;
  config["hidden_size"] = kNearTiesHidden;
  config["intermediate_size"] = 104;  // this and the next are such as CUDA kernels take
  config["head_dim"] = 16;
  config["block_size"] = 24;
  config["max_position_embeddings"] = 1024;
  write_config(directory, config);
  ModelConfig network = load_config(directory);
  network.pair_rank = pair_rank;
  auto tensors = random_tensors(network, type);
  make_near_ties(tensors, kNearTiesHidden);
  test::write_safetensors(directory / "model.safetensors", tensors);
}

}  // namespace orthrus
