// The sums and roundings of RMSNorm: a row's sum is taken in one order, a thread's quads, a warp's
// lanes, the warps of kNormThreads threads, of which thread i has the quads i + j * kNormThreads.
#pragma once

#include "kernels/cuda/ptx.cuh"

namespace orthrus::cuda {

inline constexpr int kNormThreads = 512;
inline constexpr int kNormWarps = kNormThreads / 32;

__device__ inline float add_squares(float sum, const float4& v) {
  sum = __fmaf_rn(v.x, v.x, sum), sum = __fmaf_rn(v.y, v.y, sum);
  return __fmaf_rn(v.w, v.w, __fmaf_rn(v.z, v.z, sum));
}

__device__ inline float add_lanes(float sum) {
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
  return sum;
}

// Of a row whose warps' sums these are.
__device__ inline float norm_scale(const float (&sums)[kNormWarps], int cols, float eps) {
  float total = 0;
#pragma unroll
  for (int i = 0; i < kNormWarps; ++i) total += sums[i];
  return 1.0f / sqrtf(__fadd_rn(total / static_cast<float>(cols), eps));
}

// Four numbers times the scale and their weights.
__device__ inline uint2 normed_quad(const float4& v, float scale, const uint2& weights) {
  const float2 low = __bfloat1622float2(reinterpret_cast<const __nv_bfloat162&>(weights.x)),
               high = __bfloat1622float2(reinterpret_cast<const __nv_bfloat162&>(weights.y));
  return make_uint2(pack_bf16(v.x * scale * low.x, v.y * scale * low.y),
                    pack_bf16(v.z * scale * high.x, v.w * scale * high.y));
}

}  // namespace orthrus::cuda
