// In place of everything else here, in builds without CUDA.
#include "backends/cuda/cuda_model.h"
#include "orthrus/error.h"

namespace orthrus::cuda {
namespace {

[[noreturn]] void refuse() {
  throw Error(ErrorKind::kUnsupported,
              "This build has no kernels for CUDA devices; one with ORTHRUS_CUDA=ON has.");
}

}  // namespace

int device_count() {
  return 0;
}

std::unique_ptr<const DeviceModel> load_model(ModelConfig, Checkpoint, const std::string&, int,
                                              const LoadProgress&, const WeightTypes&) {
  refuse();
}

std::unique_ptr<const DeviceModel> random_model(const ModelConfig&, int, const LoadProgress&,
                                                const WeightTypes&) {
  refuse();
}

}  // namespace orthrus::cuda
