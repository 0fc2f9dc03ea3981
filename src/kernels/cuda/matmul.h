// Matrix products, y = W x for every token.
//
// An output is the same bits whatever the number of tokens and wherever its token stands: K is
// split into split_count() parts, which depends on the shape of W alone; a part is one chain of
// wgmma in ascending k; and the parts are added in ascending order. Up to 128 tokens the parts go
// to the blocks of a cluster, one or two each, and the weights are streamed once; a prefill
// computes them one after the other.
//
// All functions only launch kernels, and can be captured into a graph. What depends on the cycle
// is read on the device: of `bucket` rows that a launch is for, the first *count are real, and
// nothing is written for the others; where there are none, no weights are read either.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <span>

#include "kernels/choice.h"
#include "kernels/cuda/block_layout.h"
#include "kernels/cuda/rows.h"

namespace orthrus::cuda {

// A weight matrix, at a multiple of 16 bytes: BF16, row-major [rows][cols] as the checkpoint has
// it; or in subtiles of another form (block_layout.h), of which a product has the bits that it has
// of the matrix widened to BF16. cols is a multiple of 8.
struct MatrixView {
  const void* data = nullptr;
  int rows = 0;
  int cols = 0;
  WeightForm form = WeightForm::kBf16;
};

// RMSNorm of a row (rows.h) that a product does for itself, on devices with has_wgmma() and if the
// row is no wider than this.
inline constexpr int kMostOwnNormCols = 6144;
struct OwnNorm {
  const float* x = nullptr;
  // Which of x's rows, on the device before the pass starts; or null, the first.
  const int* row = nullptr;
  const __nv_bfloat16* weight = nullptr;
  float eps = 0;
};

// Rows of activations, `stride` elements apart; at a multiple of 16 bytes each.
struct Tokens {
  const __nv_bfloat16* data = nullptr;
  size_t stride = 0;
  int bucket = 0;              // the rows that a launch is for
  const int* count = nullptr;  // on the device: how many of them are real
  OwnNorm norm = {};           // if it has an x, the one row is that, and data isn't read
};

// `tokens` become what rms_norm (rows.h) makes of the same arguments. A product of one row does
// that itself where it can: a kernel would take longer to start than to run. Of more rows the
// kernel does it, into `room`, [bucket][cols]. Same bits.
[[nodiscard]] cudaError_t normed_tokens(const float* x, const int* rows,
                                        const __nv_bfloat16* weight, float eps, int cols,
                                        __nv_bfloat16* room, int bucket, const int* count,
                                        Tokens* tokens, cudaStream_t stream);

// Into how many parts the sum over K is split.
int split_count(int rows, int cols);

// out[m][n] = sum over k of x[m][k] w[n][k]. Several matrices with the same input, such as q, k and
// v, are one matrix of all their rows.
[[nodiscard]] cudaError_t matmul(const Tokens& x, const MatrixView& w, float* out,
                                 size_t out_stride, cudaStream_t stream);

// out[m] += W x[m].
[[nodiscard]] cudaError_t matmul_add(const Tokens& x, const MatrixView& w, float* out,
                                     size_t out_stride, cudaStream_t stream);

// out[m][n] = silu(gate[n] x[m]) * (up[n] x[m]). gate_up: kGatedRows rows of gate and the same of
// up, in turn; other numbers of rows are cudaErrorInvalidValue.
[[nodiscard]] cudaError_t matmul_swiglu(const Tokens& x, const MatrixView& gate_up,
                                        __nv_bfloat16* out, size_t out_stride, cudaStream_t stream);

// store_heads of the product with q, k and v, whose rows `runs` hold in this order: of one matrix,
// or of several, such as those with different forms, with the bits of one. Each begins a head.
// `qkv`: room for [bucket][rows], which more than 128 tokens need.
[[nodiscard]] cudaError_t matmul_qkv(const Tokens& x, std::span<const MatrixView> runs,
                                     const Heads& heads, const HeadWeights& weights,
                                     const KvBatch& batch, __nv_bfloat16* q, float* qkv,
                                     cudaStream_t stream);

// The largest logit of each row, and its probability. `workspace`: top_workspace_bytes, at a
// multiple of 16.
size_t top_workspace_bytes(int bucket, const MatrixView& w);
[[nodiscard]] cudaError_t matmul_top(const Tokens& x, const MatrixView& w, Choice* out,
                                     void* workspace, cudaStream_t stream);

}  // namespace orthrus::cuda
