#include "backends/cuda/device_weights.h"

#include <algorithm>
#include <map>
#include <optional>
#include <random>

#include "backends/cuda/pack_blocks.h"
#include "base/ceil_div.h"
#include "base/half.h"
#include "kernels/formats/format.h"
#include "kernels/matrix_rows.h"

namespace orthrus::cuda {
namespace {

using Bf16 = __nv_bfloat16;

size_t size_of(int rows, int cols) {
  return static_cast<size_t>(rows) * static_cast<size_t>(cols);
}

// Where weights come from. Both functions call put(data, count) for pieces, one behind the other.
class Source {
 public:
  virtual ~Source() = default;
  // In BF16, rows of `cols`, of which the last are zero where `from` has fewer.
  virtual void numbers(const Matrix& from, int cols,
                       const std::function<void(const BF16*, size_t)>& put) = 0;
  // All row groups in subtiles.
  virtual void subtiles(const PlannedMatrix& matrix,
                        const std::function<void(const std::byte*, size_t)>& put) = 0;
};

// The mapped checkpoint.
class FileSource final : public Source {
 public:
  void numbers(const Matrix& from, int cols,
               const std::function<void(const BF16*, size_t)>& put) override {
    if (from.type == DType::kBF16 && from.encoding == nullptr && cols == from.cols) {
      put(static_cast<const BF16*>(from.data), size_of(from.rows, cols));
      return;
    }
    // A few rows at a time.
    constexpr int kSlice = 1 << 22;  // weights, or one row if that is longer
    const Format& format = format_of(from.type);
    const int slice_rows = std::clamp(kSlice / cols, 1, from.rows);
    std::vector<float> wide(size_of(slice_rows, from.cols));
    std::vector<BF16> rounded(size_of(slice_rows, cols));
    MatrixRows read(from);
    for (int row = 0; row < from.rows; row += slice_rows) {
      const int rows = std::min(slice_rows, from.rows - row);
      const size_t count = size_of(rows, from.cols);
      format.widen(read.read(row, rows), count / static_cast<size_t>(format.block_columns),
                   wide.data());
      for (int i = 0; i < rows; ++i) {
        const float* const of_row = wide.data() + size_of(i, from.cols);
        std::transform(of_row, of_row + from.cols, rounded.data() + size_of(i, cols), to_bf16);
      }
      put(rounded.data(), size_of(rows, cols));
    }
  }

  void subtiles(const PlannedMatrix& matrix,
                const std::function<void(const std::byte*, size_t)>& put) override {
    std::vector<std::byte> group(packed_bytes(matrix.form, 1, matrix.cols()));
    int place = 0, groups = matrix.groups();
    const auto send = [&] {
      put(group.data(), group.size());
      std::ranges::fill(group, std::byte{});
      place = 0, --groups;
    };
    for (const Matrix* const part : matrix.parts) {
      if (matrix.apart && place > 0) send();
      MatrixRows read(*part);
      for (int i = 0; i < part->rows; ++i) {
        pack_row(read.read(i, 1), part->type, part->cols, matrix.form, place, group.data());
        if (++place == kSubtileRows) send();
      }
    }
    while (groups > 0) send();
  }
};

// Made-up numbers, one run of them again and again. Each matrix begins at a place of its own, which
// does not depend on what else is stored, nor in which form: engines whose drafts have other
// weights have the same ones for the rest.
class MadeUpSource final : public Source {
 public:
  MadeUpSource() : numbers_(kPeriod) {
    std::minstd_rand random(1);
    constexpr float kStep = 0.02f * 1.7320508f / 32768;  // a standard deviation of 0.02
    for (BF16& number : numbers_) {
      const int step = static_cast<int>(random() >> 8 & 0xffff) - 32768;
      number = to_bf16(static_cast<float>(step) * kStep);
    }
  }

  float number(size_t i) const { return to_float(numbers_[i % kPeriod]); }

  // Where the last matrix ends the next one begins, so that rows begin at different places.
  void place(const Matrix& matrix) {
    starts_.emplace(&matrix, next_);
    next_ = (next_ + size_of(matrix.rows, matrix.cols)) % kPeriod;
  }

  void numbers(const Matrix& from, int cols,
               const std::function<void(const BF16*, size_t)>& put) override {
    repeat(numbers_, starts_.at(&from), size_of(from.rows, cols), put);
  }
  void subtiles(const PlannedMatrix& matrix,
                const std::function<void(const std::byte*, size_t)>& put) override {
    const WeightForm form = matrix.form;  // one for all made-up ones
    constexpr int kSubtiles = 61;         // no number of columns is a multiple
    if (packed_.empty()) {
      packed_.resize(static_cast<size_t>(kSubtiles * subtile_bytes(form)));
      constexpr int kCols = kSubtiles * kSubtileCols;
      for (int i = 0; i < kSubtileRows; ++i) {
        const auto* const row = reinterpret_cast<const std::byte*>(numbers_.data() + i * kCols);
        pack_row(row, DType::kBF16, kCols, form, i, packed_.data());
      }
    }
    const size_t begin =
        starts_.at(matrix.parts.front()) % kSubtiles * static_cast<size_t>(subtile_bytes(form));
    repeat(packed_, begin, matrix.bytes(), put);
  }

 private:
  template <typename T>
  static void repeat(const std::vector<T>& run, size_t begin, size_t count,
                     const std::function<void(const T*, size_t)>& put) {
    for (size_t at = begin; count > 0;) {
      const size_t part = std::min(count, run.size() - at);
      put(run.data() + at, part);
      at = (at + part) % run.size(), count -= part;
    }
  }

  static constexpr size_t kPeriod = 1000003;
  std::vector<BF16> numbers_;
  std::vector<std::byte> packed_;  // whole subtiles, and the places in it are those of subtiles
  std::map<const Matrix*, size_t> starts_;  // places in numbers_
  size_t next_ = 0;
};

class Uploader {
 public:
  Uploader(Source& source, size_t total, const std::function<void(size_t, size_t)>& progress)
      : source_(&source), total_(total), progress_(&progress) {}

  DeviceMatrix matrix(const PlannedMatrix& planned) {
    DeviceMatrix matrix;
    matrix.rows = planned.rows(), matrix.cols = planned.cols(), matrix.form = planned.form;
    matrix.data = DeviceArray<std::byte>(planned.bytes());
    size_t at = 0;
    const auto put = [&](const std::byte* data, size_t bytes) {
      matrix.data.upload(data, bytes, at);
      at += bytes;
    };
    if (planned.form == WeightForm::kBf16) {
      for (const Matrix* const part : planned.parts) {
        source_->numbers(*part, part->cols, [&](const BF16* numbers, size_t count) {
          put(reinterpret_cast<const std::byte*>(numbers), count * sizeof(BF16));
        });
      }
    } else {
      source_->subtiles(planned, put);
    }
    tell(size_of(matrix.rows, matrix.cols));
    return matrix;
  }

  // Of so many columns, the last of which are zero where there are fewer.
  DeviceTable table(const Matrix& from, int cols) {
    DeviceTable table;
    table.rows = from.rows, table.cols = cols;
    table.data = DeviceArray<Bf16>(size_of(table.rows, table.cols));
    size_t at = 0;
    source_->numbers(from, cols, [&](const BF16* numbers, size_t count) {
      table.data.upload(reinterpret_cast<const Bf16*>(numbers), count, at);
      at += count;
    });
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
  void tell(size_t count) {
    done_ += count;
    if (*progress_) (*progress_)(done_, total_);
  }

  Source* source_;
  size_t total_, done_ = 0;
  const std::function<void(size_t, size_t)>* progress_;
};

DeviceWeights upload_from(Source& source, const ModelConfig& config, const NetworkWeights& weights,
                          const WeightPlan& plan,
                          const std::function<void(size_t, size_t)>& progress) {
  Uploader to_device(source, plan.weights(), progress);
  DeviceWeights on_device;
  on_device.embed_tokens = to_device.table(weights.embed_tokens, config.hidden_size);
  for (const PlannedMatrix& planned : plan.matrices) {
    on_device.matrices.push_back(to_device.matrix(planned));
  }
  const auto view_of = [&](size_t place) { return on_device.matrices[place].view(); };
  for (size_t i = 0; i < weights.layers.size(); ++i) {
    const LayerWeights& layer = weights.layers[i];
    const PlannedLayer& planned = plan.layers[i];
    DeviceLayer& to = on_device.layers.emplace_back();
    to.input_layernorm = Uploader::vector(layer.input_layernorm);
    for (const View view : views(config)) {
      const AttentionWeights& w = layer.attention[view];
      DeviceAttention& attention = to.attention[view];
      for (const size_t run : planned.qkv[view]) attention.qkv.push_back(view_of(run));
      attention.qkv_bias = Uploader::biases(w);
      attention.o = view_of(planned.o[view]);
      attention.q_norm = Uploader::vector(w.q_norm);
      attention.k_norm = Uploader::vector(w.k_norm);
      to.mlp[view] = {view_of(planned.gate_up[view]), view_of(planned.down[view])};
    }
    to.post_attention_layernorm = Uploader::vector(layer.post_attention_layernorm);
  }
  on_device.norm = Uploader::vector(weights.norm);
  for (const View view : views(config)) {
    const std::optional<size_t> head = plan.lm_head[view];
    on_device.lm_head[view] = head ? view_of(*head) : on_device.embed_tokens.view();
    on_device.bytes[view] = plan.bytes_read(view);
  }
  if (config.pair_rank > 0) {
    const int cols = round_up(config.pair_rank, PairTables::kRankUnit);
    on_device.pair_previous = to_device.table(weights.pair_previous, cols);
    on_device.pair_next = to_device.table(weights.pair_next, cols);
  }
  return on_device;
}

}  // namespace

DeviceWeights upload(const ModelConfig& config, const NetworkWeights& weights,
                     const WeightPlan& plan, const std::function<void(size_t, size_t)>& progress) {
  FileSource file;
  return upload_from(file, config, weights, plan, progress);
}

DeviceWeights upload_made_up(const ModelConfig& config, NetworkWeights& imagined,
                             const WeightPlan& plan,
                             const std::function<void(size_t, size_t)>& progress) {
  MadeUpSource made_up;
  for_each_tensor(
      config, imagined,
      [&](const TensorSpec&, MatrixPlaces places) {
        for (const View view : kBothViews) {
          if (places[view] != nullptr) made_up.place(*places[view]);
        }
      },
      [&](const TensorSpec& spec, std::vector<float>& values) {
        values.assign(static_cast<size_t>(spec.shape[0]), 1.0f);
        if (!spec.name.ends_with(".bias")) return;
        for (size_t i = 0; i < values.size(); ++i) values[i] = made_up.number(i);
      });
  return upload_from(made_up, config, imagined, plan, progress);
}

}  // namespace orthrus::cuda
