#include "model/random_weights.h"

#include <bit>

namespace orthrus {
namespace {

class RandomMatrices {
 public:
  RandomMatrices(DType type, const Ops& ops, std::vector<Buffer>& storage)
      : type_(type), ops_(&ops), storage_(&storage) {}

  // Row-major, in BF16.
  Matrix table(int rows, int cols, Buffer& to) {
    const size_t count = static_cast<size_t>(rows) * static_cast<size_t>(cols);
    to = ops_->allocate((count + 1) / 2);
    auto* const words = reinterpret_cast<uint16_t*>(to.get());
    constexpr float kStep = 0.02f * 1.7320508f / (1 << 23);  // of 2^24, over +-sqrt(3) deviations
    for (size_t i = 0; i < count; ++i) {
      state_ = state_ * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX
      const auto steps = static_cast<int32_t>(state_ >> 32) >> 8;
      words[i] =
          static_cast<uint16_t>(std::bit_cast<uint32_t>(static_cast<float>(steps) * kStep) >> 16);
    }
    return {to.get(), DType::kBF16, rows, cols};
  }

  Matrix packed(const Matrix& table) {
    const size_t bytes = ops_->packed_bytes(type_, table.rows, table.cols);
    Buffer& to = storage_->emplace_back(ops_->allocate((bytes + 3) / 4));
    return ops_->pack(table, type_, to.get());
  }
  Matrix packed(int rows, int cols) {
    Buffer row_major;
    return packed(table(rows, cols, row_major));
  }

 private:
  DType type_;
  const Ops* ops_;
  std::vector<Buffer>* storage_;
  uint64_t state_ = 1;
};

}  // namespace

Weights random_weights(const ModelConfig& config, DType type, const Ops& ops,
                       std::vector<Buffer>& storage) {
  RandomMatrices random(type, ops, storage);
  const int hidden = config.hidden_size, intermediate = config.intermediate_size;
  const int q_width = config.num_attention_heads * config.head_dim;
  const int kv_width = config.num_key_value_heads * config.head_dim;
  const auto ones = [](int count) { return std::vector<float>(static_cast<size_t>(count), 1.0f); };

  Weights weights;
  Buffer embedding;
  weights.embed_tokens = random.table(config.vocab_size, hidden, embedding);
  storage.push_back(std::move(embedding));
  for (int i = 0; i < config.num_hidden_layers; ++i) {
    LayerWeights& layer = weights.layers.emplace_back();
    layer.input_layernorm = ones(hidden);
    for (int view = 0; view < (config.has_diffusion_view() ? kViews : 1); ++view) {
      layer.attention[view] = {random.packed(q_width, hidden),  random.packed(kv_width, hidden),
                               random.packed(kv_width, hidden), random.packed(hidden, q_width),
                               ones(config.head_dim),           ones(config.head_dim)};
    }
    layer.post_attention_layernorm = ones(hidden);
    layer.gate_proj = random.packed(intermediate, hidden);
    layer.up_proj = random.packed(intermediate, hidden);
    layer.down_proj = random.packed(hidden, intermediate);
  }
  weights.norm = ones(hidden);
  weights.lm_head = config.tie_word_embeddings ? random.packed(weights.embed_tokens)
                                               : random.packed(config.vocab_size, hidden);
  return weights;
}

}  // namespace orthrus
