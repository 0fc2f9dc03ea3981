#include "kernels/cuda/launch.h"
#include "kernels/cuda/norm_row.cuh"
#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/rope.cuh"
#include "kernels/cuda/rows.h"

namespace orthrus::cuda {
namespace {

constexpr int kEmbedThreads = 256;
constexpr int kRopeTableThreads = 64;
constexpr int kRopeWarps = 4;

__global__ void __launch_bounds__(kEmbedThreads)
    embed_kernel(const __nv_bfloat16* table, const int32_t* ids, int cols, float* out,
                 const int* count) {
  let_successor_start();
  const int m = static_cast<int>(blockIdx.x);
  if (m >= *count) return;
  const __nv_bfloat162* const from =
      reinterpret_cast<const __nv_bfloat162*>(table + static_cast<size_t>(ids[m]) * cols);
  float2* const to = reinterpret_cast<float2*>(out + static_cast<size_t>(m) * cols);
  for (int i = static_cast<int>(threadIdx.x); i < cols / 2; i += kEmbedThreads) {
    to[i] = __bfloat1622float2(from[i]);
  }
}

// A block a row.
__global__ void __launch_bounds__(kNormPlaces)
    rms_norm_kernel(const float* x, const int* rows, const __nv_bfloat16* weight, float eps,
                    int cols, __nv_bfloat16* out, const int* count) {
  using Row = NormRow<kNormPlaces, kMostNormCols>;
  __shared__ float sums[kNormWarps];
  const int m = static_cast<int>(blockIdx.x);
  let_successor_start();
  // What no kernel of the pass writes needn't be waited for.
  const bool real = m < *count;
  const int row = rows == nullptr || !real ? m : rows[m];
  uint2 w[Row::kQuads];
#pragma unroll
  for (int i = 0; i < Row::kQuads; ++i) {
    if (Row::quad(i) < cols / 4) w[i] = reinterpret_cast<const uint2*>(weight)[Row::quad(i)];
  }
  wait_for_predecessor();
  if (!real) return;
  Row of;
  of.load(x + static_cast<size_t>(row) * cols, cols);
  const float scale = of.scale(cols, eps, sums, [] { __syncthreads(); });
  uint2* const to = reinterpret_cast<uint2*>(out + static_cast<size_t>(m) * cols);
#pragma unroll
  for (int i = 0; i < Row::kQuads; ++i) {
    if (Row::quad(i) < cols / 4) to[Row::quad(i)] = of.normed(i, scale, w[i]);
  }
}

__global__ void __launch_bounds__(kRopeTableThreads)
    rope_table_kernel(KvBatch batch, const float* inv_freq, int half, float2* table) {
  let_successor_start();
  wait_for_predecessor();
  const int row = static_cast<int>(blockIdx.x), i = static_cast<int>(threadIdx.x);
  const RowPlace place = place_of(batch, row);
  if (!place.found() || i >= half) return;
  float sin, cos;
  sincosf(static_cast<float>(place.position) * inv_freq[i], &sin, &cos);
  table[static_cast<size_t>(row) * half + i] = {cos, sin};
}

// A warp a head of a row.
__global__ void __launch_bounds__(kRopeWarps * 32)
    store_heads_kernel(const float* qkv, Heads heads, HeadWeights weights, KvBatch batch,
                       __nv_bfloat16* q) {
  let_successor_start();
  wait_for_predecessor();
  const int all_heads = heads.heads + 2 * heads.kv_heads;
  const int blocks = (all_heads + kRopeWarps - 1) / kRopeWarps;
  const int row = static_cast<int>(blockIdx.x) / blocks;
  const int head = static_cast<int>(blockIdx.x) % blocks * kRopeWarps + threadIdx.x / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32, dim = heads.head_dim, half = dim / 2;
  if (head >= all_heads) return;
  const RowPlace place = place_of(batch, row);
  if (!place.found()) return;
  const float* const from = qkv + (static_cast<size_t>(row) * all_heads + head) * dim;
  float low[kRopePairs], high[kRopePairs];
  begin_head(heads, weights, head, low, high);
#pragma unroll
  for (int i = 0; i < kRopePairs; ++i) {
    const int d = lane + 32 * i;
    if (d >= half) continue;
    low[i] = __fadd_rn(low[i], from[d]), high[i] = __fadd_rn(high[i], from[d + half]);
  }
  store_head(heads, weights, head_factors(heads, weights, row, head), batch, place, row, head, low,
             high, q);
}

}  // namespace

cudaError_t embed(const __nv_bfloat16* table, const int32_t* ids, int cols, float* out, int bucket,
                  const int* count, cudaStream_t stream) {
  return launch_first(embed_kernel, bucket, kEmbedThreads, stream, table, ids, cols, out, count);
}

cudaError_t rms_norm(const float* x, const int* rows, const __nv_bfloat16* weight, float eps,
                     int cols, __nv_bfloat16* out, int bucket, const int* count,
                     cudaStream_t stream) {
  if (cols > kMostNormCols || cols % 4 != 0) return cudaErrorInvalidValue;
  return launch(rms_norm_kernel, bucket, kNormPlaces, 0, 1, stream, x, rows, weight, eps, cols, out,
                count);
}

cudaError_t rope_table(const KvBatch& batch, const float* inv_freq, int head_dim, float2* table,
                       int bucket, cudaStream_t stream) {
  if (head_dim > 2 * kRopeTableThreads) return cudaErrorInvalidValue;
  return launch(rope_table_kernel, bucket, kRopeTableThreads, 0, 1, stream, batch, inv_freq,
                head_dim / 2, table);
}

cudaError_t store_heads(const float* qkv, const Heads& heads, const HeadWeights& weights,
                        const KvBatch& batch, __nv_bfloat16* q, int bucket, cudaStream_t stream) {
  if (heads.head_dim > 64 * kRopePairs) return cudaErrorInvalidValue;
  const int blocks = (heads.heads + 2 * heads.kv_heads + kRopeWarps - 1) / kRopeWarps;
  return launch(store_heads_kernel, bucket * blocks, kRopeWarps * 32, 0, 1, stream, qkv, heads,
                weights, batch, q);
}

}  // namespace orthrus::cuda
