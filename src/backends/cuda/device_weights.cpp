#include "backends/cuda/device_weights.h"

#include <algorithm>
#include <cstring>
#include <random>

#include "network/network_weights.h"

namespace orthrus::cuda {
namespace {

using Bf16 = __nv_bfloat16;

class Uploader {
 public:
  Uploader(size_t total, const std::function<void(size_t, size_t)>& progress)
      : total_(total), progress_(&progress) {}

  // The rows of all of them, one below the other.
  DeviceMatrix matrices(std::initializer_list<const Matrix*> parts) {
    DeviceMatrix matrix;
    matrix.cols = (*parts.begin())->cols;
    for (const Matrix* const part : parts) matrix.rows += part->rows;
    matrix.data = DeviceArray<Bf16>(size_of(matrix.rows, matrix.cols));
    size_t at = 0;
    for (const Matrix* const part : parts) {
      copy(*part, matrix.data, at);
      at += size_of(part->rows, part->cols);
    }
    return matrix;
  }

  DeviceArray<Bf16> vector(const std::vector<float>& values) {
    std::vector<uint16_t> words(values.size());
    std::transform(values.begin(), values.end(), words.begin(), to_bf16);
    return {reinterpret_cast<const Bf16*>(words.data()), words.size()};
  }

 private:
  static size_t size_of(int rows, int cols) { return static_cast<size_t>(rows) * cols; }

  void copy(const Matrix& from, DeviceArray<Bf16>& to, size_t at) {
    const size_t count = size_of(from.rows, from.cols);
    if (from.type == DType::kBF16) {
      to.upload(static_cast<const Bf16*>(from.data), count, at);
    } else {
      constexpr size_t kSlice = size_t{1} << 22;
      std::vector<uint16_t> words(std::min(count, kSlice));
      for (size_t i = 0; i < count; i += kSlice) {
        const size_t slice = std::min(kSlice, count - i);
        for (size_t j = 0; j < slice; ++j) words[j] = to_bf16(element(from, i + j));
        to.upload(reinterpret_cast<const Bf16*>(words.data()), slice, at + i);
      }
    }
    done_ += count;
    if (*progress_) (*progress_)(done_, total_);
  }

  static float element(const Matrix& from, size_t i) {
    return widen(from.type, static_cast<const std::byte*>(from.data) +
                                i * static_cast<size_t>(format_of(from.type).block_bytes));
  }

  size_t total_, done_ = 0;
  const std::function<void(size_t, size_t)>* progress_;
};

size_t weight_count(const ModelConfig& config, bool matrices_only) {
  size_t count = 0;
  for (const TensorSpec& spec : expected_tensors(config)) {
    if (matrices_only && spec.shape.size() != 2) continue;
    size_t of_tensor = 1;
    for (const int64_t extent : spec.shape) of_tensor *= static_cast<size_t>(extent);
    count += of_tensor;
  }
  return count;
}

}  // namespace

double weight_bytes(const ModelConfig& config) {
  return static_cast<double>(weight_count(config, false)) * sizeof(Bf16);
}

double pass_bytes(const DeviceWeights& weights, View view) {
  double elements = 0;
  const auto add = [&](const MatrixView& w) { elements += static_cast<double>(w.rows) * w.cols; };
  for (const DeviceLayer& layer : weights.layers) {
    const DeviceAttention& attention = layer.attention[view];
    add(attention.qkv.view());
    add(attention.o.view());
    add(layer.gate_up.view());
    add(layer.down.view());
  }
  add(weights.lm_head());
  return elements * sizeof(Bf16);
}

DeviceWeights upload(const ModelConfig& config, const NetworkWeights& weights,
                     const std::function<void(size_t, size_t)>& progress) {
  Uploader to_device(weight_count(config, true), progress);
  DeviceWeights on_device;
  on_device.embed_tokens = to_device.matrices({&weights.embed_tokens});
  for (const LayerWeights& layer : weights.layers) {
    DeviceLayer& to = on_device.layers.emplace_back();
    to.input_layernorm = to_device.vector(layer.input_layernorm);
    for (const View view : views(config)) {
      const AttentionWeights& w = layer.attention[view];
      to.attention[view] = {to_device.matrices({&w.q_proj, &w.k_proj, &w.v_proj}),
                            to_device.matrices({&w.o_proj}), to_device.vector(w.q_norm),
                            to_device.vector(w.k_norm)};
    }
    to.post_attention_layernorm = to_device.vector(layer.post_attention_layernorm);
    const MlpWeights& mlp = layer.mlp.ar;
    to.gate_up = to_device.matrices({&mlp.gate_proj, &mlp.up_proj});
    to.down = to_device.matrices({&mlp.down_proj});
  }
  on_device.norm = to_device.vector(weights.norm);
  if (!config.tie_word_embeddings) on_device.head = to_device.matrices({&weights.lm_head.ar});
  return on_device;
}

DeviceWeights random_device_weights(const ModelConfig& config) {
  // One run of numbers, of which each row begins at another place.
  constexpr size_t kPeriod = 1000003;
  std::minstd_rand random(1);
  std::vector<uint16_t> numbers(kPeriod);
  constexpr float kStep = 0.02f * 1.7320508f / 32768;  // a standard deviation of 0.02
  for (uint16_t& number : numbers) {
    number = to_bf16(static_cast<float>(static_cast<int>(random() >> 8 & 0xffff) - 32768) * kStep);
  }
  size_t at = 0;
  const auto matrix = [&](int rows, int cols) {
    DeviceMatrix to;
    to.rows = rows, to.cols = cols;
    const size_t count = static_cast<size_t>(rows) * static_cast<size_t>(cols);
    to.data = DeviceArray<Bf16>(count);
    for (size_t i = 0; i < count;) {
      const size_t part = std::min(count - i, kPeriod - at);
      to.data.upload(reinterpret_cast<const Bf16*>(numbers.data()) + at, part, i);
      i += part;
      at = (at + part) % kPeriod;
    }
    return to;
  };
  const auto ones = [](int count) {
    const std::vector<uint16_t> words(static_cast<size_t>(count), to_bf16(1));
    return DeviceArray<Bf16>(reinterpret_cast<const Bf16*>(words.data()), words.size());
  };
  const int hidden = config.hidden_size, intermediate = config.intermediate_size;
  const int q_cols = config.num_attention_heads * config.head_dim;
  const int kv_cols = config.num_key_value_heads * config.head_dim;
  DeviceWeights weights;
  weights.embed_tokens = matrix(config.vocab_size, hidden);
  for (int i = 0; i < config.num_hidden_layers; ++i) {
    DeviceLayer& layer = weights.layers.emplace_back();
    layer.input_layernorm = ones(hidden);
    for (const View view : views(config)) {
      layer.attention[view] = {matrix(q_cols + 2 * kv_cols, hidden), matrix(hidden, q_cols),
                               ones(config.head_dim), ones(config.head_dim)};
    }
    layer.post_attention_layernorm = ones(hidden);
    layer.gate_up = matrix(2 * intermediate, hidden);
    layer.down = matrix(hidden, intermediate);
  }
  weights.norm = ones(hidden);
  if (!config.tie_word_embeddings) weights.head = matrix(config.vocab_size, hidden);
  return weights;
}

}  // namespace orthrus::cuda
