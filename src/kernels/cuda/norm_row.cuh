// RMSNorm of a row by the threads of a block, in the kernel for that or in one that needs the row.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/cuda/ptx.cuh"

namespace orthrus::cuda {

// The sum of squares is taken in one order, however many threads there are: 512 places share out
// the row's quads, sum up their own, are added up within warps, and then the 16 warps' sums are.
inline constexpr int kNormPlaces = 512;
inline constexpr int kNormWarps = kNormPlaces / 32;

// The quads of a row of at most kMostCols that a thread of kThreads has: those of its places.
template <int kThreads, int kMostCols>
struct NormRow {
  static constexpr int kPlaces = kNormPlaces / kThreads;  // of a thread
  static constexpr int kQuads = (kMostCols / 4 + kThreads - 1) / kThreads;

  float4 v[kQuads];

  __device__ static int quad(int i) { return static_cast<int>(threadIdx.x) + i * kThreads; }

  // cols is a multiple of 4.
  __device__ void load(const float* x, int cols) {
#pragma unroll
    for (int i = 0; i < kQuads; ++i) {
      v[i] = quad(i) < cols / 4 ? reinterpret_cast<const float4*>(x)[quad(i)] : float4{};
    }
  }

  // What the row is multiplied by. `sums`: [kNormWarps], shared; `barrier`: of the threads.
  template <typename Barrier>
  __device__ float scale(int cols, float eps, float* sums, const Barrier& barrier) const {
    const int thread = static_cast<int>(threadIdx.x);
#pragma unroll
    for (int place = 0; place < kPlaces; ++place) {
      float sum = 0;
#pragma unroll
      for (int i = place; i < kQuads; i += kPlaces) {
        sum = __fmaf_rn(v[i].x, v[i].x, sum), sum = __fmaf_rn(v[i].y, v[i].y, sum);
        sum = __fmaf_rn(v[i].z, v[i].z, sum), sum = __fmaf_rn(v[i].w, v[i].w, sum);
      }
      for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
      if (thread % 32 == 0) sums[(thread + place * kThreads) / 32] = sum;
    }
    barrier();
    float total = 0;
#pragma unroll
    for (int i = 0; i < kNormWarps; ++i) total += sums[i];
    return 1.0f / sqrtf(__fadd_rn(total / static_cast<float>(cols), eps));
  }

  // Quad `i` times its four weights.
  __device__ uint2 normed(int i, float scale, const uint2& weights) const {
    const float2 low = __bfloat1622float2(reinterpret_cast<const __nv_bfloat162&>(weights.x)),
                 high = __bfloat1622float2(reinterpret_cast<const __nv_bfloat162&>(weights.y));
    return make_uint2(pack_bf16(v[i].x * scale * low.x, v[i].y * scale * low.y),
                      pack_bf16(v[i].z * scale * high.x, v[i].w * scale * high.y));
  }
};

}  // namespace orthrus::cuda
