#include "backends/cuda/device_weights.h"

#include <algorithm>
#include <random>
#include <span>

#include "base/ceil_div.h"
#include "base/half.h"
#include "kernels/formats/format.h"
#include "kernels/matrix_rows.h"

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

  // A table of the pairwise term.
  DeviceMatrix table(const Matrix& from) {
    DeviceMatrix table;
    table.rows = from.rows, table.cols = round_up(from.cols, PairTables::kRankUnit);
    table.data = DeviceArray<Bf16>(size_of(table.rows, table.cols));
    widen(from, table.cols, table.data, 0);
    tell(size_of(from.rows, from.cols));
    return table;
  }

  static DeviceArray<Bf16> vector(const std::vector<float>& values) {
    if (values.empty()) return {};
    std::vector<BF16> rounded(values.size());
    std::transform(values.begin(), values.end(), rounded.begin(), to_bf16);
    return {reinterpret_cast<const Bf16*>(rounded.data()), rounded.size()};
  }

  static DeviceArray<float> biases(const AttentionWeights& w) {
    std::vector<float> all;
    for (const std::vector<float>* const part : {&w.q_bias, &w.k_bias, &w.v_bias}) {
      all.insert(all.end(), part->begin(), part->end());
    }
    if (all.empty()) return {};
    return {all.data(), all.size()};
  }

 private:
  static size_t size_of(int rows, int cols) {
    return static_cast<size_t>(rows) * static_cast<size_t>(cols);
  }

  void copy(const Matrix& from, DeviceArray<Bf16>& to, size_t at) {
    const size_t count = size_of(from.rows, from.cols);
    if (from.type == DType::kBF16) {
      to.upload(static_cast<const Bf16*>(from.data), count, at);
    } else {
      widen(from, from.cols, to, at);
    }
    tell(count);
  }

  void tell(size_t count) {
    done_ += count;
    if (*progress_) (*progress_)(done_, total_);
  }

  // A few rows at a time, as rows of `cols`, of which the last are zero where there are more.
  static void widen(const Matrix& from, int cols, DeviceArray<Bf16>& to, size_t at) {
    constexpr int kSlice = 1 << 22;  // weights, or one row if that is longer
    const Format& format = format_of(from.type);
    MatrixRows read(from);
    const int slice_rows = std::clamp(kSlice / cols, 1, from.rows);
    std::vector<float> wide(size_of(slice_rows, from.cols));
    std::vector<BF16> rounded(size_of(slice_rows, cols));
    for (int row = 0; row < from.rows; row += slice_rows) {
      const int rows = std::min(slice_rows, from.rows - row);
      const size_t count = size_of(rows, from.cols);
      format.widen(read.read(row, rows), count / static_cast<size_t>(format.block_columns),
                   wide.data());
      for (int i = 0; i < rows; ++i) {
        const float* const of_row = wide.data() + size_of(i, from.cols);
        std::transform(of_row, of_row + from.cols, rounded.data() + size_of(i, cols), to_bf16);
      }
      to.upload(reinterpret_cast<const Bf16*>(rounded.data()), size_of(rows, cols), at);
      at += size_of(rows, cols);
    }
  }

  size_t total_, done_ = 0;
  const std::function<void(size_t, size_t)>* progress_;
};

size_t weight_count(std::span<const TensorSpec> specs) {
  size_t count = 0;
  for (const TensorSpec& spec : specs) {
    size_t of_tensor = 1;
    for (const int64_t extent : spec.shape) of_tensor *= static_cast<size_t>(extent);
    count += of_tensor;
  }
  return count;
}

std::vector<TensorSpec> matrices_of(const ModelConfig& config) {
  std::vector<TensorSpec> matrices = expected_tensors(config);
  std::erase_if(matrices, [](const TensorSpec& spec) { return spec.shape.size() != 2; });
  return matrices;
}

}  // namespace

double weight_bytes(const ModelConfig& config) {
  return static_cast<double>(weight_count(expected_tensors(config))) * sizeof(Bf16);
}

double pass_bytes(const ModelConfig& config, View view) {
  return static_cast<double>(weight_count(multiplied_matrices(config, view))) * sizeof(Bf16);
}

DeviceWeights upload(const ModelConfig& config, const NetworkWeights& weights,
                     const std::function<void(size_t, size_t)>& progress) {
  Uploader to_device(weight_count(matrices_of(config)), progress);
  DeviceWeights on_device;
  on_device.embed_tokens = to_device.matrices({&weights.embed_tokens});
  for (const LayerWeights& layer : weights.layers) {
    DeviceLayer& to = on_device.layers.emplace_back();
    to.input_layernorm = Uploader::vector(layer.input_layernorm);
    for (const View view : views(config)) {
      const AttentionWeights& w = layer.attention[view];
      to.attention[view] = {to_device.matrices({&w.q_proj, &w.k_proj, &w.v_proj}),
                            Uploader::biases(w), to_device.matrices({&w.o_proj}),
                            Uploader::vector(w.q_norm), Uploader::vector(w.k_norm)};
    }
    to.post_attention_layernorm = Uploader::vector(layer.post_attention_layernorm);
    const MlpWeights& mlp = layer.mlp.ar;
    to.gate_up = to_device.matrices({&mlp.gate_proj, &mlp.up_proj});
    to.down = to_device.matrices({&mlp.down_proj});
  }
  on_device.norm = Uploader::vector(weights.norm);
  if (!config.tie_word_embeddings) on_device.head = to_device.matrices({&weights.lm_head.ar});
  if (config.pair_rank > 0) {
    on_device.pair_previous = to_device.table(weights.pair_previous);
    on_device.pair_next = to_device.table(weights.pair_next);
  }
  return on_device;
}

DeviceWeights random_device_weights(const ModelConfig& config,
                                    const std::function<void(size_t, size_t)>& progress) {
  // One run of numbers, of which each row begins at another place.
  constexpr size_t kPeriod = 1000003;
  std::minstd_rand random(1);
  std::vector<BF16> numbers(kPeriod);
  constexpr float kStep = 0.02f * 1.7320508f / 32768;  // a standard deviation of 0.02
  for (BF16& number : numbers) {
    number = to_bf16(static_cast<float>(static_cast<int>(random() >> 8 & 0xffff) - 32768) * kStep);
  }
  size_t at = 0, done = 0;
  const size_t total = weight_count(matrices_of(config));
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
    done = std::min(done + count, total);  // columns of padding are not counted
    if (progress) progress(done, total);
    return to;
  };
  const auto ones = [](int count) {
    return Uploader::vector(std::vector<float>(static_cast<size_t>(count), 1.0f));
  };
  const auto head_norm = [&] {
    return config.has_qk_norm ? ones(config.head_dim) : DeviceArray<Bf16>();
  };
  const auto biases = [&](int count) {
    if (!config.has_qkv_bias) return DeviceArray<float>();
    std::vector<float> values(static_cast<size_t>(count));
    std::transform(numbers.begin(), numbers.begin() + count, values.begin(),
                   [](BF16 number) { return to_float(number); });
    return DeviceArray<float>(values.data(), values.size());
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
      layer.attention[view] = {matrix(q_cols + 2 * kv_cols, hidden), biases(q_cols + 2 * kv_cols),
                               matrix(hidden, q_cols), head_norm(), head_norm()};
    }
    layer.post_attention_layernorm = ones(hidden);
    layer.gate_up = matrix(2 * intermediate, hidden);
    layer.down = matrix(hidden, intermediate);
  }
  weights.norm = ones(hidden);
  if (!config.tie_word_embeddings) weights.head = matrix(config.vocab_size, hidden);
  if (config.pair_rank > 0) {
    const int columns = round_up(config.pair_rank, PairTables::kRankUnit);
    weights.pair_previous = matrix(config.vocab_size, columns);
    weights.pair_next = matrix(config.vocab_size, columns);
  }
  return weights;
}

}  // namespace orthrus::cuda
