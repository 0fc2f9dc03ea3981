// Launching a kernel of a pass.
#pragma once

#include <cuda_runtime.h>

#include <utility>

namespace orthrus::cuda {

// That a block of the current device can have, static and dynamic.
[[nodiscard]] inline cudaError_t most_shared_memory(int* bytes) {
  int device = 0;
  if (const cudaError_t error = cudaGetDevice(&device); error != cudaSuccess) return error;
  return cudaDeviceGetAttribute(bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
}

// The kernel may start while its predecessor in the stream still runs, and so calls
// wait_for_predecessor. `cluster` consecutive blocks, which blocks.x is a multiple of, share their
// shared memory. Can be captured into a graph.
template <typename... Parameters, typename... Arguments>
[[nodiscard]] cudaError_t launch(void (*kernel)(Parameters...), dim3 blocks, int threads,
                                 size_t shared_bytes, int cluster, cudaStream_t stream,
                                 Arguments&&... arguments) {
  cudaFuncAttributes compiled;
  if (const cudaError_t error = cudaFuncGetAttributes(&compiled, kernel); error != cudaSuccess) {
    return error;
  }
  if (shared_bytes > 48 * 1024) {
    // The limit is the process's: every thread sets the same, all that there is.
    int most = 0;
    if (const cudaError_t error = most_shared_memory(&most); error != cudaSuccess) return error;
    const cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             most - static_cast<int>(compiled.sharedSizeBytes));
    if (error != cudaSuccess) return error;
  }
  cudaLaunchAttribute attributes[2] = {};
  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  // A kernel that was compiled for earlier devices doesn't wait.
  attributes[0].val.programmaticStreamSerializationAllowed = compiled.ptxVersion >= 90;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim = {static_cast<unsigned>(cluster), 1, 1};
  cudaLaunchConfig_t config = {};
  config.gridDim = blocks;
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = cluster > 1 ? 2 : compiled.ptxVersion >= 90 ? 1 : 0;
  return cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...);
}

// Of the current device.
[[nodiscard]] inline cudaError_t count_multiprocessors(int* count) {
  int device = 0;
  if (const cudaError_t error = cudaGetDevice(&device); error != cudaSuccess) return error;
  return cudaDeviceGetAttribute(count, cudaDevAttrMultiProcessorCount, device);
}

// The kernel starts when all before it in the stream is complete.
template <typename... Parameters, typename... Arguments>
[[nodiscard]] cudaError_t launch_first(void (*kernel)(Parameters...), int blocks, int threads,
                                       cudaStream_t stream, Arguments&&... arguments) {
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.stream = stream;
  return cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...);
}

}  // namespace orthrus::cuda
