#include <cuda_runtime.h>

#include "kernels/cuda/device_features.h"

namespace orthrus::cuda {
namespace {

__global__ void probe_kernel() {}

}  // namespace

bool has_wgmma() {
  // The devices of a machine are taken to be alike.
  static const bool has = [] {
    cudaFuncAttributes compiled;
    return cudaFuncGetAttributes(&compiled, probe_kernel) == cudaSuccess &&
           compiled.ptxVersion >= 90;
  }();
  return has;
}

}  // namespace orthrus::cuda
