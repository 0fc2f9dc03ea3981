// Merging splits that different blocks computed.
#pragma once

#include <type_traits>

#include "kernels/cuda/attention_job.h"
#include "kernels/cuda/attention_sums.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/span_of_row.cuh"

namespace orthrus::cuda {

inline constexpr int kMergeWarps = 4;
// Up to so many heads of queries are merged with a lane a dimension where there are more splits
// than these: for few, and for more of them.
inline constexpr int kFewPairs = 256, kMostPairs = 1024;
inline constexpr int kFewSplits = 16, kSomeSplits = 64;

// Merges the splits of a query and head, in ascending order, kBatch being loaded together. A lane
// has kDims of the dimensions, and finds the factors of every 32nd split: the largest score up to a
// split is the same whichever way it is found, so that only sums are one chain.
template <int D, int kDims, int kBatch>
__global__ void __launch_bounds__(kMergeWarps * 32)
    merge_kernel(const __grid_constant__ AttentionJob job) {
  constexpr int kSlices = D <= 32 * kDims ? 1 : D / (32 * kDims), kTops = (kBatch + 31) / 32;
  // Of each split: the factor of what was summed, that of what is added, the exponentials added.
  __shared__ float4 shared[kMergeWarps][kTops * 32];
  float4* const factors = shared[threadIdx.x / 32];
  const int warp = static_cast<int>(blockIdx.x) * kMergeWarps + static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32, pair = warp / kSlices;
  const int first_dim = (warp % kSlices * 32 + lane) * kDims, row = pair / job.heads.heads;
  let_successor_start();
  const AttentionPlan plan = job.side_by_side ? kSideBySide : plan_of(job.work(), false);
  int splits = 0;
  if (const KvSpan span = span_of_row(job.batch, row); plan.apart && span.rows > 0) {
    splits = span.has_block()
                 ? splits_of(tiles_of(span.first_position)) + splits_of(tiles_of(span.rows))
                 : splits_of(tiles_of(span.first_position + row - span.first_row + 1));
  }
  wait_for_predecessor();
  if (splits == 0) return;
  const bool has_dims = first_dim < D;
  const size_t stride = static_cast<size_t>(job.part_rows) * job.heads.heads;
  const float2* const tops = job.part_tops + pair;
  const float* const values = job.part_values + static_cast<size_t>(pair) * D + first_dim;
  using Vector = std::conditional_t<kDims == 4, float4, float>;
  float top = -INFINITY, total = 0, v[kDims] = {};
  for (int first = 0; first < splits; first += kBatch) {
    float2 part[kTops];
    alignas(sizeof(Vector)) float value[kBatch][kDims];
#pragma unroll
    for (int i = 0; i < kTops; ++i) {
      const int j = i * 32 + lane;
      part[i] =
          j < kBatch && first + j < splits ? tops[(first + j) * stride] : float2{-INFINITY, 0};
    }
    const float* from = values + first * stride * D;
#pragma unroll
    for (int j = 0; j < kBatch; ++j, from += stride * D) {
      *reinterpret_cast<Vector*>(value[j]) =
          first + j < splits && has_dims ? *reinterpret_cast<const Vector*>(from) : Vector{};
    }
#pragma unroll
    for (int i = 0; i < kTops; ++i) {
      // What `merge` does for one split after the other.
      float largest = part[i].x;
#pragma unroll
      for (int step = 1; step < 32; step *= 2) {
        const float other = __shfl_up_sync(~0u, largest, step);
        if (lane >= step) largest = fmaxf(largest, other);
      }
      largest = fmaxf(largest, top);
      const float below = __shfl_up_sync(~0u, largest, 1), before = lane == 0 ? top : below;
      const bool seen = part[i].x != -INFINITY;
      const float added = seen ? exp2_fast(part[i].x - largest) : 0;
      factors[i * 32 + lane] = {seen ? exp2_fast(before - largest) : 1, added,
                                __fmul_rn(part[i].y, added), 0};
      top = __shfl_sync(~0u, largest, 31);
    }
    __syncwarp();
#pragma unroll
    for (int j = 0; j < kBatch; ++j) {
      if (j % 8 == 0 && first + j >= splits) break;
      const float4 f = factors[j];
      total = __fmaf_rn(total, f.x, f.z);
#pragma unroll
      for (int d = 0; d < kDims; ++d) v[d] = merge_value(v[d], value[j][d], {f.x, f.y});
    }
    __syncwarp();
  }
  if (!has_dims) return;
  __nv_bfloat16* const out = job.out + static_cast<size_t>(pair) * D + first_dim;
  if constexpr (kDims == 4) {
    *reinterpret_cast<uint2*>(out) =
        make_uint2(finished(v[0], v[1], total), finished(v[2], v[3], total));
  } else {
    *out = __float2bfloat16_rn(finished(v[0], total));
  }
}

// Of all queries of a pass in which splits were computed apart; `splits`: the most of a query.
template <int D>
cudaError_t launch_merge(const AttentionJob& job, int splits, cudaStream_t stream) {
  // Where a few rows have many splits, latency counts: more warps with more loads in flight each.
  const int pairs = job.part_rows * job.heads.heads;
  const bool narrow =
      pairs <= kMostPairs && splits > (pairs <= kFewPairs ? kFewSplits : kSomeSplits);
  const int warps = narrow && D > 32 ? pairs * (D / 32) : pairs;
  return launch(narrow ? merge_kernel<D, 1, 64> : merge_kernel<D, 4, 8>,
                (warps + kMergeWarps - 1) / kMergeWarps, kMergeWarps * 32, 0, 1, stream, job);
}

}  // namespace orthrus::cuda
