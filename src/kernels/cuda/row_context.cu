#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/row_context.h"

namespace orthrus::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kTokensOfThread = 4;
constexpr int kTokensOfBlock = kThreads * kTokensOfThread;

// The processor does the same (kernels/row_context.cpp).
__device__ inline float penalised(float logit, Occurrence occurrence, const Penalties& by) {
  if (occurrence == 0) return logit;
  logit = logit < 0 ? __fmul_rn(logit, by.repetition) : __fdiv_rn(logit, by.repetition);
  if (occurrence == 1) return logit;
  logit = __fsub_rn(logit, __fmul_rn(by.frequency, __int2float_rn(occurrence - 1)));
  return __fsub_rn(logit, by.presence);
}

__device__ inline float biased(float logit, float bias) {
  if (bias == 0 || !isfinite(logit)) return logit;  // broken is broken
  return isinf(bias) ? kSuppressedLogit : __fadd_rn(logit, bias);
}

// Blocks share a row, of which each has some tokens.
__global__ void __launch_bounds__(kThreads)
    adjust_kernel(float* logits, size_t stride, int vocabulary, int blocks_of_row,
                  const SelectRow* rows, RowContexts contexts, const int32_t* ids,
                  const int* parents, const int* count) {
  let_successor_start();
  const int m = static_cast<int>(blockIdx.x) / blocks_of_row;
  const int first = static_cast<int>(blockIdx.x) % blocks_of_row * kTokensOfBlock;
  wait_for_predecessor();
  if (m >= *count || rows[m].context < 0) return;
  const SelectRow how = rows[m];
  const auto at = static_cast<size_t>(how.context) * static_cast<size_t>(vocabulary);
  const Penalties penalties = contexts.penalties[how.context];
  float* const row = logits + static_cast<size_t>(m) * stride;
#pragma unroll
  for (int i = 0; i < kTokensOfThread; ++i) {
    const int token = first + i * kThreads + static_cast<int>(threadIdx.x);
    if (token >= vocabulary) break;
    Occurrence occurrence = contexts.occurrences[at + token];
    for (int left = how.drafts, draft = how.last_draft; left > 0; --left) {
      if (ids[draft] == token) occurrence = max(occurrence, 1) + 1;
      draft = parents == nullptr ? draft - 1 : parents[draft];
    }
    row[token] = biased(penalised(row[token], occurrence, penalties), contexts.biases[at + token]);
  }
}

}  // namespace

cudaError_t adjust(float* logits, size_t stride, int vocabulary, const SelectRow* rows,
                   const RowContexts& contexts, const int32_t* ids, const int* parents, int bucket,
                   const int* count, cudaStream_t stream) {
  const int blocks_of_row = (vocabulary + kTokensOfBlock - 1) / kTokensOfBlock;
  return launch(adjust_kernel, bucket * blocks_of_row, kThreads, 0, 1, stream, logits, stride,
                vocabulary, blocks_of_row, rows, contexts, ids, parents, count);
}

}  // namespace orthrus::cuda
