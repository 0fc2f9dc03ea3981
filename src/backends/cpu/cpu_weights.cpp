#include "backends/cpu/cpu_weights.h"

#include <fmt/core.h>

#include <utility>

#include "backends/cpu/host_memory.h"
#include "backends/cpu/random_weights.h"
#include "backends/stage_progress.h"
#include "network/rope.h"

namespace orthrus {
namespace {

// Of a short context: its keys and values, and the activations of the pass that reads it.
double working_bytes(const CpuWeights& weights) {
  constexpr int kPositions = 256;
  const ModelConfig& c = weights.config;
  const double q = 1.0 * c.head_dim * c.num_attention_heads;
  const double kv = 1.0 * c.head_dim * c.num_key_value_heads;
  const double of_row = 3.0 * c.hidden_size + 2 * q + 2 * kv + c.intermediate_size;
  const double cache = static_cast<double>(weights.kv_layout().page_bytes()) / kPageSize;
  return kPositions * (of_row * sizeof(float) + cache) + 1.0 * c.vocab_size * sizeof(float);
}

// Pages of the file, which the system may drop, are not counted.
void check_room(const CpuWeights& weights, double weight_bytes) {
  check_memory(weight_bytes + working_bytes(weights), "The weights and a short context take");
}

// Bytes that random_weights allocates.
double random_bytes(const ModelConfig& config, const PerView<DType>& types, const Ops& ops) {
  double bytes = 0;
  NetworkWeights places;
  for_each_tensor(
      config, places,
      [&](const TensorSpec& spec, MatrixPlaces of_view) {
        const auto rows = static_cast<int>(spec.shape[0]), cols = static_cast<int>(spec.shape[1]);
        if (spec.is_table) {
          bytes += static_cast<double>(bytes_of(format_of(DType::kBF16), 1)) * rows * cols;
          return;
        }
        for (const View view : kBothViews) {
          const bool shared =
              view == View::kDiffusion && of_view.ar != nullptr && types.diffusion == types.ar;
          if (of_view[view] == nullptr || shared) continue;
          bytes += static_cast<double>(ops.packed_bytes(types[view], rows, cols));
        }
      },
      [](const TensorSpec&, std::vector<float>&) {});
  return bytes;
}

}  // namespace

CpuWeights::CpuWeights(ModelConfig model_config)
    : config(std::move(model_config)), inv_freq(rope_inv_freq(config)) {}

CpuWeights::CpuWeights(ModelConfig model_config, Checkpoint model_checkpoint,
                       const std::string& model_name, const Ops& ops, const WeightTypes& types,
                       const LoadProgress& progress)
    : CpuWeights(std::move(model_config)) {
  checkpoint = std::move(model_checkpoint);
  network = bind_weights(config, *checkpoint, model_name);
  check_room(*this, static_cast<double>(packed_bytes(config, network, types, ops)));
  check_finite(*checkpoint, model_name, of_stage(progress, LoadStage::kChecking));
  pack_weights(config, network, types, ops, *checkpoint, model_name, packed,
               of_stage(progress, LoadStage::kConverting));
}

CpuWeights CpuWeights::random(const ModelConfig& config, const PerView<DType>& types,
                              const Ops& ops, const LoadProgress& progress) {
  CpuWeights weights(config);
  check_room(weights, random_bytes(config, types, ops));
  weights.network =
      random_weights(config, types, ops, weights.packed, of_stage(progress, LoadStage::kMaking));
  return weights;
}

}  // namespace orthrus
