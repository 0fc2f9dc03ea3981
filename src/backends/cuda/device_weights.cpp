#include "backends/cuda/device_weights.h"

#include <algorithm>
#include <optional>

#include "backends/cuda/runs.h"
#include "backends/cuda/weight_source.h"
#include "base/ceil_div.h"

namespace orthrus::cuda {
namespace {

using Bf16 = __nv_bfloat16;

size_t size_of(int rows, int cols) {
  return static_cast<size_t>(rows) * static_cast<size_t>(cols);
}

class Uploader {
 public:
  Uploader(WeightSource& source, size_t total, const std::function<void(size_t, size_t)>& progress)
      : source_(&source), total_(total), progress_(&progress) {}

  DeviceMatrix matrix(const PlannedMatrix& planned) {
    DeviceMatrix matrix;
    matrix.rows = planned.rows(), matrix.cols = planned.cols(), matrix.form = planned.form;
    matrix.data = DeviceArray<std::byte>(planned.bytes());
    if (planned.form == WeightForm::kBf16) {
      size_t first = 0;
      for (const Matrix* const part : planned.parts) {
        const int rows = planned.in_turn > 0 ? planned.in_turn : part->rows;
        const size_t run = size_of(rows, part->cols) * sizeof(BF16);
        Runs runs(first, run, run * planned.parts.size());
        source_->numbers(*part, part->cols, [&](const BF16* numbers, size_t count) {
          runs.put(reinterpret_cast<const std::byte*>(numbers), count * sizeof(BF16),
                   [&](const Runs::Piece& piece) { matrix.data.upload(piece); });
        });
        first += run;
      }
    } else {
      size_t at = 0;
      source_->subtiles(planned, [&](const std::byte* data, size_t bytes) {
        matrix.data.upload(data, bytes, at);
        at += bytes;
      });
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

  WeightSource* source_;
  size_t total_, done_ = 0;
  const std::function<void(size_t, size_t)>* progress_;
};

DeviceWeights upload_from(WeightSource& source, const ModelConfig& config,
                          const NetworkWeights& weights, const WeightPlan& plan,
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
  FileWeights file;
  return upload_from(file, config, weights, plan, progress);
}

DeviceWeights upload_made_up(const ModelConfig& config, NetworkWeights& imagined,
                             const WeightPlan& plan,
                             const std::function<void(size_t, size_t)>& progress) {
  MadeUpWeights made_up;
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
