// What a query has summed over keys so far, and how that of more keys joins it.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/cuda/ptx.cuh"

namespace orthrus::cuda {

__device__ inline float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// A row's largest score (times log2 e) and sum of exponentials so far, -infinity and 0 before.
struct Sum {
  float top = -INFINITY;
  float total = 0;
};

// What was summed and what is added, each times its factor, once `sum` has taken `part` in.
struct Factors {
  float old, added;
};

__device__ inline Factors merge(Sum& sum, const Sum& part) {
  if (part.top == -INFINITY) return {1, 0};  // of keys that the row doesn't see
  const float top = fmaxf(sum.top, part.top);
  const Factors f = {exp2_fast(sum.top - top), exp2_fast(part.top - top)};
  sum.total = __fmaf_rn(sum.total, f.old, __fmul_rn(part.total, f.added));
  sum.top = top;
  return f;
}

__device__ inline float merge_value(float old, float added, const Factors& f) {
  return __fmaf_rn(old, f.old, __fmul_rn(added, f.added));
}

// Adding nothing to a sum may turn -0 into 0, so that no result is left as -0.
__device__ inline float finished(float sum, float total) {
  return sum / total + 0.0f;
}

__device__ inline uint32_t finished(float a, float b, float total) {
  return pack_bf16(finished(a, total), finished(b, total));
}

}  // namespace orthrus::cuda
