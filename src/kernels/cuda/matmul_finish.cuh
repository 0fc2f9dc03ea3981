// How a tile's sums, in shared memory, become outputs.
#pragma once

#include <climits>

#include "kernels/cuda/matmul_job.cuh"
#include "kernels/cuda/rope.cuh"

namespace orthrus::cuda {

// Threads that finish a tile: the first of the block.
inline constexpr int kFinishThreads = 256;
inline constexpr int kTileRows = 128;
// Sums of a tile, from token to token: other tokens, other banks.
inline constexpr int kSumStride = kTileRows + 4;

// A token's sums are those of a tile's rows; of SwiGLU those of gate, then those of up. A thread of
// the tensor cores has `row` of a tile and the row 8 below: these are their sums' places.
struct SumPlaces {
  int upper, lower;
};
__device__ inline SumPlaces sum_places(const MatmulJob& job, int row) {
  if (job.epilogue != Epilogue::kSwiglu) return {row, row + 8};
  return {output_of(row), output_of(row) + kTileRows / 2};
}

// `kCount` times four neighbouring outputs, at[i] in every block's sums: all parts of K, in
// ascending order. The loads, from shared memory that may be far, are all in flight together.
// `own_parts`: as the job has it; the second lies in the upper half of a block's rows.
template <int kCount>
__device__ void add_parts(const float* const (&at)[kCount], int splits, int own_parts,
                          float4 (&total)[kCount]) {
  if (splits == 1) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) total[i] = *reinterpret_cast<const float4*>(at[i]);
    return;
  }
  float4 part[kMostSplits][kCount];
#pragma unroll
  for (int split = 0; split < kMostSplits; ++split) {
    if (split == splits) break;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const float* const from = own_parts == 2 ? at[i] + split % 2 * kSubtileRows : at[i];
      const int rank = own_parts == 2 ? split / 2 : split;
      part[split][i] = load_from_rank(shared_address(from), static_cast<uint32_t>(rank));
    }
  }
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    total[i] = part[0][i];
#pragma unroll
    for (int split = 1; split < kMostSplits; ++split) {
      if (split == splits) break;
      total[i].x += part[split][i].x, total[i].y += part[split][i].y;
      total[i].z += part[split][i].z, total[i].w += part[split][i].w;
    }
  }
}

// Four neighbouring numbers, or as many of them as there are rows.
template <typename T>
struct alignas(4 * sizeof(T)) Four {
  T v[4];
};

template <typename T>
__device__ T* out_at(const MatmulJob& job, int token, int row) {
  return static_cast<T*>(job.out) + token * job.out_stride + row;
}

template <typename T>
__device__ bool whole_four(const T* out, int rows) {
  return rows >= 4 && reinterpret_cast<uintptr_t>(out) % sizeof(Four<T>) == 0;
}

template <typename T>
__device__ Four<T> load_four(const T* out, int rows) {
  if (whole_four(out, rows)) return *reinterpret_cast<const Four<T>*>(out);
  Four<T> four = {};
  for (int i = 0; i < 4; ++i) {
    if (i < rows) four.v[i] = out[i];
  }
  return four;
}

template <typename T>
__device__ void store_four(T* out, int rows, const Four<T>& four) {
  if (whole_four(out, rows)) {
    *reinterpret_cast<Four<T>*>(out) = four;
    return;
  }
  for (int i = 0; i < 4; ++i) {
    if (i < rows) out[i] = four.v[i];
  }
}

// The block's share of the rows, of every token. kGated: SwiGLU.
template <int N, bool kGated>
__device__ void finish_rows(const MatmulJob& job, int tile, int first_token, int tokens, int split,
                            int splits, const float* sums) {
  constexpr int kRows = kGated ? kTileRows / 2 : kTileRows, kBatch = N <= 32 ? 1 : 2;
  // With two parts a block, half as many blocks share half as many rows.
  const int quads = kRows / 4 >> log2_of(splits), log_quads = log2_of(quads);
  const int own_parts = kGated ? 1 : job.own_parts;
  const int tile_rows = own_parts == 2 ? kSubtileRows : kRows;
  const int items = tokens * quads;
  for (int first = threadIdx.x; first < items; first += kBatch * kFinishThreads) {
    const float* at[kBatch];
    float4 sum[kBatch], up[kBatch];
    Four<float> old[kBatch];
    int token[kBatch], row[kBatch], left[kBatch];  // left: rows from here to the last
#pragma unroll
    for (int i = 0; i < kBatch; ++i) {
      const int item = min(first + i * kFinishThreads, items - 1);
      token[i] = item >> log_quads, row[i] = (split * quads + (item & (quads - 1))) * 4;
      at[i] = sums + token[i] * kSumStride + row[i];
      row[i] += tile * tile_rows, token[i] += first_token;
      left[i] = first + i * kFinishThreads < items ? job.out_rows - row[i] : 0;
      if (job.epilogue == Epilogue::kAdd) {
        old[i] = load_four(out_at<float>(job, token[i], row[i]), left[i]);
      }
    }
    add_parts(at, splits, own_parts, sum);
    if constexpr (kGated) {
#pragma unroll
      for (int i = 0; i < kBatch; ++i) at[i] += kTileRows / 2;
      add_parts(at, splits, own_parts, up);
    }
#pragma unroll
    for (int i = 0; i < kBatch; ++i) {
      float v[4] = {sum[i].x, sum[i].y, sum[i].z, sum[i].w};
      if constexpr (kGated) {
        v[0] = swiglu(v[0], up[i].x), v[1] = swiglu(v[1], up[i].y);
        v[2] = swiglu(v[2], up[i].z), v[3] = swiglu(v[3], up[i].w);
        Four<__nv_bfloat16> four;
#pragma unroll
        for (int j = 0; j < 4; ++j) four.v[j] = __float2bfloat16_rn(v[j]);
        store_four(out_at<__nv_bfloat16>(job, token[i], row[i]), left[i], four);
      } else {
        Four<float> four;
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          four.v[j] = job.epilogue == Epilogue::kAdd ? old[i].v[j] + v[j] : v[j];
        }
        store_four(out_at<float>(job, token[i], row[i]), left[i], four);
      }
    }
  }
}

// The block's share of the tokens, a warp a token.
__device__ inline void finish_top(const MatmulJob& job, int tile, int first_token, int tokens,
                                  int split, int splits, const float* sums) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int step = kFinishThreads / 32 * splits;
  for (int token = split + warp * splits; token < tokens; token += step) {
    const float* const at[1] = {sums + token * kSumStride + lane * 4};
    float4 sum[1];
    add_parts(at, splits, 1, sum);
    const float v[4] = {sum[0].x, sum[0].y, sum[0].z, sum[0].w};
    const int first_row = tile * kTileRows + lane * 4;
    float top = -INFINITY;
    int id = INT_MAX;
    bool finite = true;
    for (int i = 0; i < 4 && first_row + i < job.out_rows; ++i) {
      finite = finite && isfinite(v[i]);
      if (v[i] > top) top = v[i], id = first_row + i;
    }
    for (int step = 16; step > 0; step /= 2) {
      const float other = __shfl_xor_sync(~0u, top, step);
      const int other_id = __shfl_xor_sync(~0u, id, step);
      if (other > top || (other == top && other_id < id)) top = other, id = other_id;
    }
    float exponentials = 0;
    for (int i = 0; i < 4 && first_row + i < job.out_rows; ++i) exponentials += __expf(v[i] - top);
    for (int step = 16; step > 0; step /= 2) {
      exponentials += __shfl_xor_sync(~0u, exponentials, step);
    }
    finite = __all_sync(~0u, finite);
    if (lane == 0) {
      static_cast<TopPart*>(job.out)[(first_token + token) * job.out_stride + tile] = {
          top, finite ? id : -1, exponentials};
    }
  }
}

// Heads of q, k and v in the block's share of the tokens, a warp a head of a token. What is behind
// the sums has room for those of the share.
template <int N>
__device__ void finish_heads(const MatmulJob& job, int tile, int first_token, int tokens, int split,
                             int splits, float* sums, const RowPlace* places) {
  constexpr int kBatch = N <= 32 ? 1 : 2, kQuads = kTileRows / 4;
  const HeadsJob& to = job.heads;
  const int dim = to.heads.head_dim, half = dim / 2;
  const int log_heads = log2_of(kTileRows) - log2_of(dim);  // of a tile
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int share =
      tokens - split + splits - 1 >> log2_of(splits);  // its token i: split + i * splits
  const float* own = sums;
  if (splits > 1) {
    // The parts are added up in whole quads: other blocks' memory is read in few, wide pieces.
    float* const added = sums + N * kSumStride;
    const int items = share * kQuads;
    for (int first = threadIdx.x; first < items; first += kBatch * kFinishThreads) {
      const float* at[kBatch];
      float4 total[kBatch];
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int item = min(first + i * kFinishThreads, items - 1);
        at[i] = sums + (split + item / kQuads * splits) * kSumStride + item % kQuads * 4;
      }
      add_parts(at, splits, 1, total);
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int item = min(first + i * kFinishThreads, items - 1);
        *reinterpret_cast<float4*>(added + item / kQuads * kSumStride + item % kQuads * 4) =
            total[i];
      }
    }
    named_barrier(1, kFinishThreads);
    own = added;
  }
  for (int i = warp; i < share << log_heads; i += kFinishThreads / 32) {
    const int in_share = i >> log_heads, in_tile = i - (in_share << log_heads);
    const int token = split + in_share * splits, in_job = (tile << log_heads) + in_tile;
    const int head = to.first + in_job;
    const RowPlace place = places[token];
    if (in_job * dim >= job.out_rows || !place.found()) continue;
    const HeadFactors factors = head_factors(to.heads, to.weights, first_token + token, head);
    float low[kRopePairs], high[kRopePairs];
    begin_head(to.heads, to.weights, head, low, high);
#pragma unroll
    for (int j = 0; j < kRopePairs; ++j) {
      const int d = lane + 32 * j;
      if (d >= half) continue;
      const float* const at = own + in_share * kSumStride + in_tile * dim + d;
      low[j] = __fadd_rn(low[j], at[0]), high[j] = __fadd_rn(high[j], at[half]);
    }
    store_head(to.heads, to.weights, factors, to.batch, place, first_token + token, head, low, high,
               to.q);
  }
}

template <int N>
__device__ void finish(const MatmulJob& job, int tile, int first_token, int tokens, int split,
                       int splits, float* sums, const RowPlace* places) {
  if (job.epilogue == Epilogue::kTop) {
    finish_top(job, tile, first_token, tokens, split, splits, sums);
  } else if (job.epilogue == Epilogue::kHeads) {
    finish_heads<N>(job, tile, first_token, tokens, split, splits, sums, places);
  } else if (job.epilogue == Epilogue::kSwiglu) {
    finish_rows<N, true>(job, tile, first_token, tokens, split, splits, sums);
  } else {
    finish_rows<N, false>(job, tile, first_token, tokens, split, splits, sums);
  }
}

}  // namespace orthrus::cuda
