#include <cstdint>

#include "kernels/cuda/device_features.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/matmul_job.cuh"
#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/roofline.h"
#include "kernels/cuda/wgmma.cuh"

namespace orthrus::cuda {
namespace {

constexpr int kCopyThreads = 512, kCopyBlocks = 16;  // blocks: of a multiprocessor
constexpr int kFillThreads = 256;

// Two warpgroups, each with 64 rows of its own by the same tokens, so that one multiplies while the
// other waits.
constexpr int kMultiplyThreads = 256, kMultiplyTokens = 128;
constexpr int kMultiplyRows = 2 * kSubtileRows;
constexpr int kMultiplyRounds = 4096, kTilesOfRound = 4;

// Four loads of a thread in flight; neither side is kept in the L2.
__global__ void __launch_bounds__(kCopyThreads)
    copy_kernel(const uint4* from, uint4* to, size_t size) {
  const size_t step = static_cast<size_t>(gridDim.x) * blockDim.x;
  size_t i = blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x;
  for (; i + 3 * step < size; i += 4 * step) {
    uint4 v[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) v[j] = __ldcs(from + i + j * step);
#pragma unroll
    for (int j = 0; j < 4; ++j) __stcs(to + i + j * step, v[j]);
  }
  for (; i < size; i += step) to[i] = from[i];
}

__device__ uint32_t hash(size_t i) {
  const uint32_t h = static_cast<uint32_t>(i) * 2654435761u + static_cast<uint32_t>(i >> 32);
  return (h ^ h >> 15) * 2246822519u;
}

// Numbers of 0.5 to 1: seven bits of fraction.
__global__ void __launch_bounds__(kFillThreads) fill_kernel(uint16_t* to, size_t count) {
  const size_t step = static_cast<size_t>(gridDim.x) * blockDim.x;
  size_t i = blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x;
  for (; i < count; i += step) to[i] = static_cast<uint16_t>(0x3f00 | hash(i) >> 25);
}

__global__ void __launch_bounds__(kMultiplyThreads, 1) multiply_kernel() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  __shared__ alignas(1024) uint16_t tiles[(kMultiplyRows + kMultiplyTokens) * kBlockK];
  for (int i = static_cast<int>(threadIdx.x); i < static_cast<int>(sizeof tiles / sizeof *tiles);
       i += kMultiplyThreads) {
    // Of either sign: sums of them stay small.
    tiles[i] = static_cast<uint16_t>((hash(i) & 1) << 15 | 0x3f00 | hash(i) >> 25);
  }
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");  // before wgmma reads them
  __syncthreads();
  const uint64_t base = tile_descriptor(shared_address(tiles));
  const uint64_t a = base + (threadIdx.x / 128 * kSubtileBytes >> 4);
  const uint64_t b = base + (2 * kSubtileBytes >> 4);
  float sums[kMultiplyTokens / 2] = {};
  for (int round = 0; round < kMultiplyRounds; ++round) {
    wgmma_fence();
#pragma unroll
    for (int i = 0; i < kTilesOfRound * kBlockK / 16; ++i) {
      const uint64_t at = i % (kBlockK / 16) * kNext16;
      wgmma<kMultiplyTokens>(sums, a + at, b + at, 1);
    }
    wgmma_commit();
    wgmma_wait<0>();
  }
  // Never so, but were the sums not looked at, the compiler would leave them out.
  float total = 0;
  for (const float sum : sums) total += sum;
  if (isnan(total)) __trap();
#endif
}

}  // namespace

cudaError_t copy_once(const void* from, void* to, size_t bytes, cudaStream_t stream) {
  int blocks = 0;
  if (const cudaError_t error = count_multiprocessors(&blocks); error != cudaSuccess) return error;
  return launch_first(copy_kernel, blocks * kCopyBlocks, kCopyThreads, stream,
                      static_cast<const uint4*>(from), static_cast<uint4*>(to),
                      bytes / sizeof(uint4));
}

cudaError_t multiply_all(double* operations, cudaStream_t stream) {
  *operations = 0;
  if (!has_wgmma()) return cudaSuccess;
  int blocks = 0;
  if (const cudaError_t error = count_multiprocessors(&blocks); error != cudaSuccess) return error;
  *operations =
      2.0 * blocks * kMultiplyRows * kMultiplyTokens * kBlockK * kTilesOfRound * kMultiplyRounds;
  return launch_first(multiply_kernel, blocks, kMultiplyThreads, stream);
}

cudaError_t fill_made_up(__nv_bfloat16* to, size_t count, cudaStream_t stream) {
  return launch_first(fill_kernel, 1024, kFillThreads, stream, reinterpret_cast<uint16_t*>(to),
                      count);
}

}  // namespace orthrus::cuda
