#include "backends/cpu/cpu_weights.h"

#include <utility>

#include "backends/cpu/random_weights.h"
#include "network/rope.h"

namespace orthrus {

CpuWeights::CpuWeights(ModelConfig model_config)
    : config(std::move(model_config)), inv_freq(rope_inv_freq(config)) {}

CpuWeights::CpuWeights(ModelConfig model_config, Checkpoint model_checkpoint,
                       const std::string& model_name, const Ops& ops, const WeightTypes& types,
                       const std::function<void(size_t done, size_t total)>& progress)
    : CpuWeights(std::move(model_config)) {
  checkpoint = std::move(model_checkpoint);
  network = bind_weights(config, *checkpoint, model_name);
  check_finite(*checkpoint, model_name, progress);
  pack_weights(config, network, types, ops, model_name, packed, progress);
}

CpuWeights CpuWeights::random(const ModelConfig& config, const PerView<DType>& types,
                              const Ops& ops) {
  CpuWeights weights(config);
  weights.network = random_weights(config, types, ops, weights.packed);
  return weights;
}

double CpuWeights::random_bytes(const ModelConfig& config, const PerView<DType>& types,
                                const Ops& ops) {
  double bytes = 0;
  NetworkWeights places;
  for_each_tensor(
      config, places,
      [&](const TensorSpec& spec, MatrixPlaces of_view) {
        const auto rows = static_cast<int>(spec.shape[0]), cols = static_cast<int>(spec.shape[1]);
        if (spec.is_embedding) {
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

}  // namespace orthrus
