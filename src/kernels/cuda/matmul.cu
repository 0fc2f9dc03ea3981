#include <algorithm>

#include "kernels/cuda/device_features.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/matmul.h"
#include "kernels/cuda/matmul_job.cuh"

namespace orthrus::cuda {
namespace {

constexpr int kLeastBlocks = 128;
constexpr int kTopThreads = 256;

bool norms_itself(int bucket, int cols) {
  return has_wgmma() && bucket == 1 && cols <= kMostOwnNormCols && cols % 4 == 0;
}

// `splits`: split_count() of the matrix that `w` is a part of.
cudaError_t run(const Tokens& x, const MatrixView& w, int splits, Epilogue epilogue, void* out,
                size_t out_stride, cudaStream_t stream, const HeadsJob& heads = {}) {
  MatmulJob job = {};
  job.out_rows = epilogue == Epilogue::kSwiglu ? w.rows / 2 : w.rows;
  job.row_tiles = (w.rows + 127) / 128;
  job.k_blocks = (w.cols + kBlockK - 1) / kBlockK;
  job.splits = splits;
  job.own_parts = 1;
  job.epilogue = epilogue;
  job.out = out;
  job.out_stride = out_stride;
  job.count = x.count;
  job.heads = heads;
  job.cols = w.cols;
  job.norm = x.norm;
  if (x.norm.x != nullptr && !norms_itself(x.bucket, w.cols)) return cudaErrorInvalidValue;
  if (epilogue == Epilogue::kSwiglu && w.rows % (2 * kGatedRows) != 0) return cudaErrorInvalidValue;
  if (!has_wgmma()) return matmul_simple(x, w, job, stream);
  if (w.form != WeightForm::kBf16) return matmul_stream_blocks(x, w, job, stream);
  // Blocks that have all of K to themselves, one part after the other, must be many.
  const int tiles = job.row_tiles * ((x.bucket + kMostStreamed - 1) / kMostStreamed);
  const bool whole = job.splits == 1 || (epilogue != Epilogue::kSwiglu && tiles >= kLeastBlocks);
  const bool prefill = x.bucket > kMostStreamed && epilogue != Epilogue::kTop && whole;
  return prefill ? matmul_prefill(x, w, job, stream) : matmul_stream(x, w, job, stream);
}

cudaError_t run(const Tokens& x, const MatrixView& w, Epilogue epilogue, void* out,
                size_t out_stride, cudaStream_t stream) {
  return run(x, w, split_count(w.rows, w.cols), epilogue, out, out_stride, stream);
}

// Merges the tiles' parts of one token a block.
__global__ void __launch_bounds__(kTopThreads)
    merge_top_kernel(const TopPart* parts, int tiles, const int* count, Choice* out) {
  __shared__ float tops[kTopThreads];
  __shared__ int ids[kTopThreads];
  __shared__ float sums[kTopThreads];
  let_successor_start();
  wait_for_predecessor();
  const int token = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x);
  if (token >= *count) return;
  const TopPart* const of_token = parts + static_cast<size_t>(token) * tiles;
  float top = -INFINITY, sum = 0;
  int id = INT_MAX;
  bool finite = true;
  for (int i = thread; i < tiles; i += kTopThreads) {
    const TopPart part = of_token[i];
    finite = finite && part.id >= 0;
    if (part.logit > top) {
      sum = __fmaf_rn(sum, __expf(top - part.logit), part.sum);
      top = part.logit, id = part.id;
    } else {
      sum = __fmaf_rn(part.sum, __expf(part.logit - top), sum);
    }
  }
  tops[thread] = top, ids[thread] = id, sums[thread] = sum;
  finite = __syncthreads_and(finite);
  for (int step = kTopThreads / 2; step > 0; step /= 2) {
    if (thread < step) {
      const int other = thread + step;
      const float larger = fmaxf(tops[thread], tops[other]);
      if (tops[other] > tops[thread] || (tops[other] == tops[thread] && ids[other] < ids[thread])) {
        ids[thread] = ids[other];
      }
      // A thread that had no tile has the sum 0 and the top -infinity.
      const float a = sums[thread] == 0 ? 0 : sums[thread] * __expf(tops[thread] - larger);
      const float b = sums[other] == 0 ? 0 : sums[other] * __expf(tops[other] - larger);
      sums[thread] = __fadd_rn(a, b);
      tops[thread] = larger;
    }
    __syncthreads();
  }
  if (thread == 0) out[token] = {finite ? ids[0] : -1, tops[0], 1.0f / sums[0]};
}

}  // namespace

// Enough blocks of 128 rows to have memory busy, each with the same number of bytes in flight.
int split_count(int rows, int cols) {
  const int tiles = (rows + 127) / 128, k_blocks = (cols + kBlockK - 1) / kBlockK;
  int splits = 1;
  while (splits < kMostSplits && tiles * splits < kLeastBlocks && splits * 2 <= k_blocks) {
    splits *= 2;
  }
  return splits;
}

cudaError_t normed_tokens(const float* x, const int* rows, const __nv_bfloat16* weight, float eps,
                          int cols, __nv_bfloat16* room, int bucket, const int* count,
                          Tokens* tokens, cudaStream_t stream) {
  *tokens = {room, static_cast<size_t>(cols), bucket, count};
  if (norms_itself(bucket, cols)) {
    tokens->norm = {x, rows, weight, eps};
    return cudaSuccess;
  }
  return rms_norm(x, rows, weight, eps, cols, room, bucket, count, stream);
}

cudaError_t matmul(const Tokens& x, const MatrixView& w, float* out, size_t out_stride,
                   cudaStream_t stream) {
  return run(x, w, Epilogue::kStore, out, out_stride, stream);
}

cudaError_t matmul_add(const Tokens& x, const MatrixView& w, float* out, size_t out_stride,
                       cudaStream_t stream) {
  return run(x, w, Epilogue::kAdd, out, out_stride, stream);
}

cudaError_t matmul_swiglu(const Tokens& x, const MatrixView& gate_up, __nv_bfloat16* out,
                          size_t out_stride, cudaStream_t stream) {
  return run(x, gate_up, Epilogue::kSwiglu, out, out_stride, stream);
}

cudaError_t matmul_qkv(const Tokens& x, std::span<const MatrixView> runs, const Heads& heads,
                       const HeadWeights& weights, const KvBatch& batch, __nv_bfloat16* q,
                       float* qkv, cudaStream_t stream) {
  const bool finished = x.bucket <= kMostStreamed && 128 % heads.head_dim == 0;
  const int rows = (heads.heads + 2 * heads.kv_heads) * heads.head_dim;
  int first_row = 0;
  for (const MatrixView& w : runs) {
    const int splits = split_count(rows, w.cols);
    const cudaError_t error = finished ? run(x, w, splits, Epilogue::kHeads, nullptr, 0, stream,
                                             {first_row / heads.head_dim, heads, weights, batch, q})
                                       : run(x, w, splits, Epilogue::kStore, qkv + first_row,
                                             static_cast<size_t>(rows), stream);
    if (error != cudaSuccess) return error;
    first_row += w.rows;
  }
  return finished ? cudaSuccess : store_heads(qkv, heads, weights, batch, q, x.bucket, stream);
}

size_t top_workspace_bytes(int bucket, const MatrixView& w) {
  return static_cast<size_t>(bucket) * ((static_cast<size_t>(w.rows) + 127) / 128) *
         sizeof(TopPart);
}

cudaError_t matmul_top(const Tokens& x, const MatrixView& w, Choice* out, void* workspace,
                       cudaStream_t stream) {
  const int tiles = (w.rows + 127) / 128;
  if (const cudaError_t error =
          run(x, w, Epilogue::kTop, workspace, static_cast<size_t>(tiles), stream);
      error != cudaSuccess) {
    return error;
  }
  return launch(merge_top_kernel, x.bucket, kTopThreads, 0, 1, stream,
                static_cast<const TopPart*>(workspace), tiles, x.count, out);
}

}  // namespace orthrus::cuda
