#include "model/random_weights.h"

#include <bit>

namespace orthrus {
namespace {

class RandomMatrices {
 public:
  RandomMatrices(const Ops& ops, std::vector<Buffer>& storage) : ops_(&ops), storage_(&storage) {}

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

  Matrix packed(const Matrix& table, DType type) {
    const size_t bytes = ops_->packed_bytes(type, table.rows, table.cols);
    Buffer& to = storage_->emplace_back(ops_->allocate((bytes + 3) / 4));
    return ops_->pack(table, type, to.get());
  }
  Matrix packed(int rows, int cols, DType type) {
    Buffer row_major;
    return packed(table(rows, cols, row_major), type);
  }

  // For both views: the same matrix in the types of each.
  std::array<Matrix, kViews> shared(const Matrix& table, const std::array<DType, kViews>& types) {
    const Matrix ar = packed(table, types[0]);
    return {ar, types[1] == types[0] ? ar : packed(table, types[1])};
  }
  std::array<Matrix, kViews> shared(int rows, int cols, const std::array<DType, kViews>& types) {
    Buffer row_major;
    return shared(table(rows, cols, row_major), types);
  }

 private:
  const Ops* ops_;
  std::vector<Buffer>* storage_;
  uint64_t state_ = 1;
};

}  // namespace

Weights random_weights(const ModelConfig& config, const std::array<DType, kViews>& types,
                       const Ops& ops, std::vector<Buffer>& storage) {
  RandomMatrices random(ops, storage);
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
      const DType type = types[view];
      layer.attention[view] = {random.packed(q_width, hidden, type),
                               random.packed(kv_width, hidden, type),
                               random.packed(kv_width, hidden, type),
                               random.packed(hidden, q_width, type),
                               ones(config.head_dim),
                               ones(config.head_dim)};
    }
    layer.post_attention_layernorm = ones(hidden);
    const auto gate = random.shared(intermediate, hidden, types);
    const auto up = random.shared(intermediate, hidden, types);
    const auto down = random.shared(hidden, intermediate, types);
    for (int view = 0; view < kViews; ++view) layer.mlp[view] = {gate[view], up[view], down[view]};
  }
  weights.norm = ones(hidden);
  weights.lm_head = config.tie_word_embeddings ? random.shared(weights.embed_tokens, types)
                                               : random.shared(config.vocab_size, hidden, types);
  return weights;
}

}  // namespace orthrus
