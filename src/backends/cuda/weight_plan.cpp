#include "backends/cuda/weight_plan.h"

#include <algorithm>
#include <cassert>
#include <span>
#include <utility>

#include "backends/cuda/pack_blocks.h"
#include "kernels/formats/format.h"

namespace orthrus::cuda {
namespace {

using Parts = std::vector<const Matrix*>;

size_t size_of(int rows, int cols) {
  return static_cast<size_t>(rows) * static_cast<size_t>(cols);
}

size_t bf16_bytes(int rows, int cols) {
  return bytes_of(format_of(DType::kBF16), size_of(rows, cols));
}

// The form of matrices that must have the same: the smallest that holds all of them.
WeightForm form_for(const Parts& parts, WeightType wanted) {
  if (wanted == DType::kQ8_0) return WeightForm::kQ8;
  if (wanted != WeightType::native()) return WeightForm::kBf16;
  for (const WeightForm form : kBlockForms) {
    if (std::ranges::all_of(parts, [&](const Matrix* m) { return holds(form, m->type); })) {
      return form;
    }
  }
  return WeightForm::kBf16;
}

// The type that a matrix has in a form.
DType type_in(WeightForm form, DType type) {
  if (form == WeightForm::kBf16) return DType::kBF16;
  return holds(form, type) ? type : DType::kQ8_0;
}

class Planner {
 public:
  Planner(const ModelConfig& config, const PerView<WeightType>& wanted)
      : views_(views(config)), wanted_(wanted) {}

  // One that this view alone uses.
  size_t own(View view, const Parts& parts) {
    return add(view, {parts, form_for(parts, wanted_[view])}, {});
  }

  // One; or, where no form has the integers of all, several, neighbours of one form being one.
  std::vector<size_t> own_runs(View view, const Parts& parts) {
    const WeightForm one = form_for(parts, wanted_[view]);
    if (wanted_[view] != WeightType::native() || one != WeightForm::kBf16) {
      return {own(view, parts)};
    }
    std::vector<PlannedMatrix> runs;
    for (const Matrix* const part : parts) {
      const WeightForm form = form_for({part}, wanted_[view]);
      if (runs.empty() || runs.back().form != form) runs.push_back({{}, form});
      runs.back().parts.push_back(part);
    }
    std::vector<size_t> places;
    for (const PlannedMatrix& run : runs) places.push_back(add(view, run, {}));
    return places;
  }

  // One of all views, or copies in different forms.
  PerView<size_t> shared(const Parts& parts, int in_turn = 0) {
    PerView<size_t> places;
    for (const View view : views_) {
      const std::optional<size_t> first =
          view == View::kDiffusion ? std::optional(places.ar) : std::nullopt;
      places[view] = add(view, {parts, form_for(parts, wanted_[view]), in_turn}, first);
    }
    return places;
  }

  // Likewise. A tied one in BF16 is the embedding.
  void head(const Matrix& matrix, bool tied) {
    for (const View view : views_) {
      const WeightForm form = form_for({&matrix}, wanted_[view]);
      if (tied && form == WeightForm::kBf16) continue;
      plan.lm_head[view] = add(view, {{&matrix}, form}, plan.lm_head.ar);
    }
  }

  WeightPlan plan;

 private:
  // The one at `same`, which has the same parts, if it has this form too; else a new one.
  size_t add(View view, PlannedMatrix matrix, std::optional<size_t> same) {
    if (!same || plan.matrices[*same].form != matrix.form) {
      same = plan.matrices.size();
      plan.matrices.push_back(std::move(matrix));
    }
    plan.read[view].push_back(*same);
    return *same;
  }

  std::span<const View> views_;
  PerView<WeightType> wanted_;
};

}  // namespace

int PlannedMatrix::rows() const {
  int rows = 0;
  for (const Matrix* const part : parts) rows += part->rows;
  return rows;
}

size_t PlannedMatrix::bytes() const {
  if (form == WeightForm::kBf16) return bf16_bytes(rows(), cols());
  return packed_bytes(form, row_groups(rows()), cols());
}

double WeightPlan::bytes() const {
  size_t sum = 0;
  for (const Matrix* const table : tables) sum += bf16_bytes(table->rows, table->cols);
  for (const PlannedMatrix& matrix : matrices) sum += matrix.bytes();
  return static_cast<double>(sum);
}

size_t WeightPlan::weights() const {
  size_t sum = 0;
  for (const Matrix* const table : tables) sum += size_of(table->rows, table->cols);
  for (const PlannedMatrix& matrix : matrices) sum += size_of(matrix.rows(), matrix.cols());
  return sum;
}

std::map<DType, double> WeightPlan::bytes_read(View view) const {
  std::map<DType, double> bytes;
  for (const size_t place : read[view]) {
    const PlannedMatrix& matrix = matrices[place];
    const double of_row = static_cast<double>(matrix.bytes()) / matrix.rows();
    for (const Matrix* const part : matrix.parts) {
      bytes[type_in(matrix.form, part->type)] += of_row * part->rows;
    }
  }
  if (!lm_head[view]) {
    const Matrix& embedding = *tables.front();
    bytes[DType::kBF16] += static_cast<double>(bf16_bytes(embedding.rows, embedding.cols));
  }
  return bytes;
}

std::set<DType> WeightPlan::widened(View view) const {
  std::set<DType> types;
  if (read[view].empty()) return types;  // the network has no such view
  const auto note = [&](const Matrix& matrix) {
    if (format_of(matrix.type).stores_blocks()) types.insert(matrix.type);
  };
  for (const size_t place : read[view]) {
    if (matrices[place].form != WeightForm::kBf16) continue;
    for (const Matrix* const part : matrices[place].parts) note(*part);
  }
  if (!lm_head[view]) note(*tables.front());
  return types;
}

WeightPlan plan_weights(const ModelConfig& config, const NetworkWeights& weights,
                        const PerView<WeightType>& wanted) {
  Planner planner(config, wanted);
  WeightPlan& plan = planner.plan;
  plan.tables = {&weights.embed_tokens};
  if (config.pair_rank > 0) {
    plan.tables.insert(plan.tables.end(), {&weights.pair_previous, &weights.pair_next});
  }
  for (const LayerWeights& layer : weights.layers) {
    PlannedLayer& to = plan.layers.emplace_back();
    for (const View view : views(config)) {
      const AttentionWeights& w = layer.attention[view];
      to.qkv[view] = planner.own_runs(view, {&w.q_proj, &w.k_proj, &w.v_proj});
      to.o[view] = planner.own(view, {&w.o_proj});
    }
    const MlpWeights& mlp = layer.mlp.ar;
    // The device's limits on shapes see to that (cuda_model.cpp).
    assert(mlp.gate_proj.rows == mlp.up_proj.rows && mlp.gate_proj.rows % kGatedRows == 0);
    to.gate_up = planner.shared({&mlp.gate_proj, &mlp.up_proj}, kGatedRows);
    to.down = planner.shared({&mlp.down_proj});
  }
  planner.head(weights.lm_head.ar, config.tie_word_embeddings);
  return std::move(plan);
}

NetworkWeights imagined_weights(const ModelConfig& config) {
  NetworkWeights weights;
  for_each_tensor(
      config, weights,
      [](const TensorSpec& spec, MatrixPlaces places) {
        for (const View view : kBothViews) {
          if (places[view] == nullptr) continue;
          *places[view] = {nullptr, DType::kBF16, static_cast<int>(spec.shape[0]),
                           static_cast<int>(spec.shape[1])};
        }
      },
      [](const TensorSpec&, std::vector<float>&) {});
  return weights;
}

}  // namespace orthrus::cuda
