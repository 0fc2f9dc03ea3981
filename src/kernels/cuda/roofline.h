// What passes are measured with: a copy as fast as the memory goes, products as fast as they go,
// and numbers to fill a cache.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstddef>

namespace orthrus::cuda {

// Copies `bytes`, a multiple of 16 of memory aligned so, reading and writing each once.
[[nodiscard]] cudaError_t copy_once(const void* from, void* to, size_t bytes, cudaStream_t stream);

// Products of BF16 tiles that stay in shared memory, on all multiprocessors for some milliseconds,
// by the instruction that products of many tokens use. *operations is how many that are, a
// multiplication and an addition each counted; 0, and nothing is launched, where there is no wgmma.
[[nodiscard]] cudaError_t multiply_all(double* operations, cudaStream_t stream);

// Numbers of 0.5 to 1 that look random, the same ones each time.
[[nodiscard]] cudaError_t fill_made_up(__nv_bfloat16* to, size_t count, cudaStream_t stream);

}  // namespace orthrus::cuda
