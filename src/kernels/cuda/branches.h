// The branches of draft trees (cache/kv_branches.h) before a pass.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

#include "kernels/cuda/kv_tiles.h"

namespace orthrus::cuda {

// Gives the first page of each branch, KvSpan::copied_page of `batch`, what it has of the positions
// that the pass begins behind, in all layers: layer i lies at cache.data + i * layer_stride, in
// elements. There are at most `most_spans`. Comes before the first kernel of the pass.
[[nodiscard]] cudaError_t copy_known(const KvBatch& batch, const Heads& heads, int layers,
                                     size_t layer_stride, int most_spans, cudaStream_t stream);

}  // namespace orthrus::cuda
