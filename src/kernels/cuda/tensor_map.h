// How the copy engine finds boxes of a matrix.
#pragma once

#include <cuda.h>
#include <cuda_bf16.h>
#include <cuda_runtime.h>

namespace orthrus::cuda {

// K that is multiplied at a time: 128 bytes, the width of a swizzled tile.
inline constexpr int kBlockK = 64;

// The copy engine's limit.
inline constexpr int kMostBoxRows = 256;

// For boxes of kBlockK columns and `box_rows` rows of a row-major bf16 matrix whose rows are
// `stride` elements apart. The data lie at a multiple of 16 bytes, and so does every row.
[[nodiscard]] cudaError_t make_tensor_map(const __nv_bfloat16* data, int rows, int cols,
                                          size_t stride, int box_rows, CUtensorMap* map);

}  // namespace orthrus::cuda
