// What a warp does with a tile of keys and values: scores, exponentials, weighted values.
#pragma once

#include "kernels/cuda/attention_sums.cuh"
#include "kernels/cuda/kv_tiles.h"
#include "kernels/cuda/ptx.cuh"

namespace orthrus::cuda {

// Of scores, that exponentials are powers of two.
__device__ inline float score_scale(int head_dim) {
  return 1.4426950408889634f / sqrtf(static_cast<float>(head_dim));
}

__device__ inline float quad_max(float v) {
  v = fmaxf(v, __shfl_xor_sync(~0u, v, 1));
  return fmaxf(v, __shfl_xor_sync(~0u, v, 2));
}

__device__ inline float quad_sum(float v) {
  v += __shfl_xor_sync(~0u, v, 1);
  return v + __shfl_xor_sync(~0u, v, 2);
}

// Where this lane reads row `row` of a tile, its chunk 0 or, if `odd`, 1. Chunks 2 k and 2 k + 1
// lie at the address ^ 32 k: rows lie at multiples of their length.
template <int D>
__device__ uint32_t lane_address(uint32_t tile, int row, int odd) {
  constexpr int kMask = D / 8 < 8 ? D / 8 - 1 : 7;
  return tile + static_cast<uint32_t>(row * D * 2 + ((odd ^ (row & kMask)) << 4));
}

// Scores of 16 rows at `queries` and 16 G keys, in ascending dimension.
template <int D, int G>
__device__ void score(float (&s)[2 * G][4], uint32_t queries, uint32_t keys) {
  const int lane = threadIdx.x % 32, in_matrix = lane % 8, matrix = lane / 8;
#pragma unroll
  for (int i = 0; i < 2 * G; ++i) s[i][0] = s[i][1] = s[i][2] = s[i][3] = 0;
  queries = lane_address<D>(queries, matrix % 2 * 8 + in_matrix, matrix / 2);
  keys = lane_address<D>(keys, matrix / 2 * 8 + in_matrix, matrix % 2);
#pragma unroll
  for (int k = 0; k < D / 16; ++k) {
    uint32_t a[4];
    load_matrices(a, queries ^ (32 * k));
#pragma unroll
    for (int g = 0; g < G; ++g) {
      uint32_t b[4];
      load_matrices(b, (keys ^ (32 * k)) + g * 16 * D * 2);
      multiply_add(s[2 * g], a, b[0], b[1]);
      multiply_add(s[2 * g + 1], a, b[2], b[3]);
    }
  }
}

// Scores of keys that row r (0 or 1) of a thread doesn't see, which may be anything, to -infinity.
template <int G>
__device__ void hide(float (&s)[2 * G][4], int r, int first_key, int visible) {
  if (__all_sync(~0u, visible - first_key >= 16 * G)) return;
  const int keys = visible - first_key - static_cast<int>(threadIdx.x) % 4 * 2;
#pragma unroll
  for (int i = 0; i < 2 * G; ++i) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      if (8 * i + j >= keys) s[i][2 * r + j] = -INFINITY;
    }
  }
}

// The largest of a thread's scores in row r.
template <int G>
__device__ float largest(const float (&s)[2 * G][4], int r) {
  float top = -INFINITY;
#pragma unroll
  for (int i = 0; i < 2 * G; ++i) top = fmaxf(top, fmaxf(s[i][2 * r], s[i][2 * r + 1]));
  return top;
}

// Takes a tile's largest score into the sum. What was summed is to be multiplied by the result.
__device__ inline float raise_top(Sum& sum, float top) {
  const float before = sum.top;
  sum.top = fmaxf(before, top);
  return sum.top == -INFINITY ? 1 : exp2_fast(before - sum.top);
}

// Scores of a group of 16 keys to exp2(score * scale - top). Returns the thread's sum of row r.
__device__ inline float exponentials(float (&a)[4], float (&b)[4], int r, float scale, float top) {
  const float base = top == -INFINITY ? 0 : top;
#pragma unroll
  for (int j = 2 * r; j < 2 * r + 2; ++j) {
    a[j] = exp2_fast(__fmaf_rn(a[j], scale, -base));
    b[j] = exp2_fast(__fmaf_rn(b[j], scale, -base));
  }
  return (a[2 * r] + a[2 * r + 1]) + (b[2 * r] + b[2 * r + 1]);
}

// 16 rows' weights of a group of 16 keys, as the matrix product takes them.
__device__ inline void pack_weights(uint32_t (&w)[4], const float (&a)[4], const float (&b)[4]) {
  w[0] = pack_bf16(a[0], a[1]), w[1] = pack_bf16(a[2], a[3]);
  w[2] = pack_bf16(b[0], b[1]), w[3] = pack_bf16(b[2], b[3]);
}

// sums[i] += weights times values of 8 dimensions each, from first_dim on, over 64 keys in
// ascending order. If kPartial, values of keys from `stored` on may be anything, and count as zero.
template <int D, int N, bool kPartial>
__device__ void add_weighed(float (&sums)[N][4], const uint32_t (&weights)[4][4], uint32_t values,
                            int first_dim, int stored) {
  static_assert(N % 2 == 0);
  const int lane = threadIdx.x % 32, in_matrix = lane % 8, matrix = lane / 8;
  values = lane_address<D>(values, matrix % 2 * 8 + in_matrix, matrix / 2);
#pragma unroll
  for (int g = 0; g < 4; ++g) {
    const int left = stored - g * 16 - lane % 4 * 2;  // of this lane's keys 0 and 1; 8 and 9
    const uint32_t mask0 = left >= 2 ? ~0u : left == 1 ? 0xFFFFu : 0;
    const uint32_t mask1 = left >= 10 ? ~0u : left == 9 ? 0xFFFFu : 0;
#pragma unroll
    for (int i = 0; i < N; i += 2) {
      uint32_t b[4];
      load_matrices_transposed(b, (values ^ (2 * first_dim + 16 * i)) + g * 16 * D * 2);
      if (kPartial) b[0] &= mask0, b[1] &= mask1, b[2] &= mask0, b[3] &= mask1;
      multiply_add(sums[i], weights[g], b[0], b[1]);
      multiply_add(sums[i + 1], weights[g], b[2], b[3]);
    }
  }
}

// sums[i] = factor of the row * sums[i] + weights times values.
template <int D, int N>
__device__ void weigh(float (&sums)[N][4], const float (&factor)[2],
                      const uint32_t (&weights)[4][4], uint32_t values, int first_dim, int stored) {
  if (__any_sync(~0u, factor[0] != 1 || factor[1] != 1)) {
#pragma unroll
    for (int i = 0; i < N; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) sums[i][j] = __fmul_rn(sums[i][j], factor[j / 2]);
    }
  }
  if (stored >= kTilePositions) {
    add_weighed<D, N, false>(sums, weights, values, first_dim, stored);
  } else {
    add_weighed<D, N, true>(sums, weights, values, first_dim, stored);
  }
}

}  // namespace orthrus::cuda
