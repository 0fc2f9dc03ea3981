// Launching a kernel of a pass.
#pragma once

#include <cuda_runtime.h>

#include <utility>

namespace orthrus::cuda {

[[nodiscard]] inline cudaError_t device_attribute(cudaDeviceAttr which, int* value) {
  int device = 0;
  if (const cudaError_t error = cudaGetDevice(&device); error != cudaSuccess) return error;
  return cudaDeviceGetAttribute(value, which, device);
}

// Of the current device.
[[nodiscard]] inline cudaError_t count_multiprocessors(int* count) {
  return device_attribute(cudaDevAttrMultiProcessorCount, count);
}

// Bytes that memory moves, at most, while multiprocessors' clocks tick once. Asked for once: a
// clock rate takes the driver a millisecond. The devices of one machine are taken to be alike.
[[nodiscard]] inline double memory_bytes_a_clock() {
  static const double bytes = [] {
    int memory_khz = 0, bits = 0, khz = 0;
    // A driver that doesn't tell is taken to drive an H100.
    constexpr double kH100 = 1690;
    for (const auto& [which, value] : {std::pair{cudaDevAttrMemoryClockRate, &memory_khz},
                                       {cudaDevAttrGlobalMemoryBusWidth, &bits},
                                       {cudaDevAttrClockRate, &khz}}) {
      if (device_attribute(which, value) != cudaSuccess || *value <= 0) {
        cudaGetLastError();  // was dealt with
        return kH100;
      }
    }
    return 2.0 * memory_khz * (bits / 8) / khz;  // twice a clock
  }();
  return bytes;
}

// That a block of the current device can have, static and dynamic.
[[nodiscard]] inline cudaError_t most_shared_memory(int* bytes) {
  return device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, bytes);
}

// Lets the kernel have all dynamic shared memory that there is. The limit is the process's: every
// thread sets the same. `compiled`: what is known of the kernel.
template <typename Kernel>
[[nodiscard]] cudaError_t allow_all_shared(Kernel kernel, cudaFuncAttributes* compiled) {
  int most = 0;
  if (const cudaError_t error = cudaFuncGetAttributes(compiled, kernel); error != cudaSuccess) {
    return error;
  }
  if (const cudaError_t error = most_shared_memory(&most); error != cudaSuccess) return error;
  return cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                              most - static_cast<int>(compiled->sharedSizeBytes));
}

// Dynamic shared memory with which two blocks of the kernel don't fit a multiprocessor, but one
// fits it beside a block that has a little less than half.
template <typename Kernel>
[[nodiscard]] cudaError_t more_than_half(Kernel kernel, int* bytes) {
  cudaFuncAttributes compiled;
  int all = 0, reserved = 0;
  cudaError_t error = cudaFuncGetAttributes(&compiled, kernel);
  if (error == cudaSuccess) {
    error = device_attribute(cudaDevAttrMaxSharedMemoryPerMultiprocessor, &all);
  }
  if (error == cudaSuccess) {
    error = device_attribute(cudaDevAttrReservedSharedMemoryPerBlock, &reserved);
  }
  if (error != cudaSuccess) return error;
  constexpr int kLittle = 256;
  *bytes = all / 2 + kLittle - reserved - static_cast<int>(compiled.sharedSizeBytes);
  return cudaSuccess;
}

// `*threads`, and as many more as it takes to need more than half of a multiprocessor's registers,
// up to `most`. So two blocks of the kernel don't share a multiprocessor, but one of another kernel
// may be beside it. That holds while all warps run: each gives its registers back when it ends.
// cudaErrorInvalidConfiguration where `most` are not enough.
template <typename Kernel>
[[nodiscard]] cudaError_t threads_alone(Kernel kernel, int most, int* threads) {
  for (; *threads <= most; *threads += 32) {
    int blocks = 0;
    const cudaError_t error =
        cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, *threads, 0);
    if (error != cudaSuccess || blocks < 2) return error;
  }
  return cudaErrorInvalidConfiguration;
}

// Clusters of the kernel that the device has room for at a time.
template <typename Kernel>
[[nodiscard]] cudaError_t count_clusters(Kernel kernel, int blocks, int threads, int shared_bytes,
                                         int cluster, int* count) {
  cudaFuncAttributes compiled;
  if (const cudaError_t error = allow_all_shared(kernel, &compiled); error != cudaSuccess) {
    return error;
  }
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim = {static_cast<unsigned>(cluster), 1, 1};
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = static_cast<size_t>(shared_bytes);
  config.attrs = &attribute;
  config.numAttrs = 1;
  return cudaOccupancyMaxActiveClusters(count, kernel, &config);
}

// The kernel may start while its predecessor in the stream still runs, and so calls
// wait_for_predecessor. `cluster` consecutive blocks, which blocks.x is a multiple of, share their
// shared memory. Can be captured into a graph.
template <typename... Parameters, typename... Arguments>
[[nodiscard]] cudaError_t launch(void (*kernel)(Parameters...), dim3 blocks, int threads,
                                 size_t shared_bytes, int cluster, cudaStream_t stream,
                                 Arguments&&... arguments) {
  cudaFuncAttributes compiled;
  const cudaError_t error = shared_bytes > 48 * 1024 ? allow_all_shared(kernel, &compiled)
                                                     : cudaFuncGetAttributes(&compiled, kernel);
  if (error != cudaSuccess) return error;
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
