// Adjusting rows of logits by what the tokens before them say: kernels/row_context.h, for the
// device.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/select.h"
#include "kernels/penalties.h"

namespace orthrus::cuda {

// What is said of the tokens of several sequences, [vocabulary] of each in the first two.
struct RowContexts {
  Occurrence* occurrences = nullptr;
  const float* biases = nullptr;  // 0: none; -infinity: never chosen
  const Penalties* penalties = nullptr;
};

// Adjusts logits[m], [vocabulary], by the context that rows[m] has, where it has one, and by its
// drafts, which are of `ids`, by row of the pass; for m < min(bucket, *count). A row comes behind
// row parents[row], or, with none, behind the one before it. `stride` in floats.
[[nodiscard]] cudaError_t adjust(float* logits, size_t stride, int vocabulary,
                                 const SelectRow* rows, const RowContexts& contexts,
                                 const int32_t* ids, const int* parents, int bucket,
                                 const int* count, cudaStream_t stream);

}  // namespace orthrus::cuda
