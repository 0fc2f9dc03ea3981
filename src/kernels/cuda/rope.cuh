// A head of q, k or v on its way from the projection to attention: bias, norm, rotation, store.
#pragma once

#include "kernels/cuda/kv_tiles.h"
#include "kernels/cuda/rows.h"
#include "kernels/cuda/span_of_row.cuh"

namespace orthrus::cuda {

// Pairs (d, d + head_dim / 2) of a lane: d = lane + 32 i.
inline constexpr int kRopePairs = 2;

// Where a row stands, and where its key and value belong.
struct RowPlace {
  __nv_bfloat16* page;  // the tile of key head 0; null where the row belongs to no span
  int position;
  int first_copy;  // RowCopies
  short copies;
  short slot;  // in the tile

  __device__ bool found() const { return page != nullptr; }
};

__device__ inline RowPlace place_of(const KvBatch& batch, int row) {
  const KvSpan span = span_of_row(batch, row);
  if (span.rows == 0) return {};
  const int i = row - span.first_row;
  const int slot = span.has_block() ? i : span.first_position + i;
  const int page = span.has_block() ? span.first_block_page + slot / kTilePositions
                                    : batch.page_table[span.first_page + slot / kTilePositions];
  const KvPages& pages = span.has_block() ? batch.block : batch.cache;
  const RowCopies copies = batch.copies != nullptr ? batch.copies[row] : RowCopies{};
  return {pages.data + static_cast<size_t>(page) * pages.page_stride, span.first_position + i,
          copies.first, static_cast<short>(copies.count),
          static_cast<short>(slot % kTilePositions)};
}

// A lane's pairs of a head before the projection's sums are added: biases, or zeros.
__device__ inline void begin_head(const Heads& heads, const HeadWeights& weights, int head,
                                  float (&low)[kRopePairs], float (&high)[kRopePairs]) {
  const int dim = heads.head_dim, half = dim / 2;
#pragma unroll
  for (int i = 0; i < kRopePairs; ++i) {
    const int d = static_cast<int>(threadIdx.x) % 32 + 32 * i;
    low[i] = high[i] = 0;
    if (weights.bias == nullptr || d >= half) continue;
    low[i] = weights.bias[head * dim + d], high[i] = weights.bias[head * dim + d + half];
  }
}

// What a lane's pairs of a head of q or k are multiplied by.
struct HeadFactors {
  float norm_low[kRopePairs], norm_high[kRopePairs];
  float2 turn[kRopePairs];
};

__device__ inline HeadFactors head_factors(const Heads& heads, const HeadWeights& weights, int row,
                                           int head) {
  const int dim = heads.head_dim, half = dim / 2;
  HeadFactors f = {};
  if (head >= heads.heads + heads.kv_heads) return f;
  const __nv_bfloat16* const norm = head < heads.heads ? weights.q_norm : weights.k_norm;
#pragma unroll
  for (int i = 0; i < kRopePairs; ++i) {
    const int d = static_cast<int>(threadIdx.x) % 32 + 32 * i;
    if (d >= half) continue;
    f.turn[i] = weights.table[static_cast<size_t>(row) * half + d];
    if (norm == nullptr) continue;
    f.norm_low[i] = __bfloat162float(norm[d]), f.norm_high[i] = __bfloat162float(norm[d + half]);
  }
  return f;
}

// Of a warp: head `head` of q, then k, then v, whose pairs are low and high. A norm's sum is taken
// in one order: a lane's pairs, then the lanes.
__device__ inline void store_head(const Heads& heads, const HeadWeights& weights,
                                  const HeadFactors& factors, const KvBatch& batch,
                                  const RowPlace& place, int row, int head,
                                  float (&low)[kRopePairs], float (&high)[kRopePairs],
                                  __nv_bfloat16* q) {
  const int lane = static_cast<int>(threadIdx.x) % 32, dim = heads.head_dim, half = dim / 2;
  const bool is_q = head < heads.heads, is_v = head >= heads.heads + heads.kv_heads;
  if (!is_v && weights.q_norm != nullptr) {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < kRopePairs; ++i) {
      sum = __fmaf_rn(low[i], low[i], sum), sum = __fmaf_rn(high[i], high[i], sum);
    }
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
    const float scale = 1.0f / sqrtf(__fadd_rn(sum / static_cast<float>(dim), weights.eps));
#pragma unroll
    for (int i = 0; i < kRopePairs; ++i) {
      low[i] = low[i] * scale * factors.norm_low[i];
      high[i] = high[i] * scale * factors.norm_high[i];
    }
  }
  if (!is_v) {
#pragma unroll
    for (int i = 0; i < kRopePairs; ++i) {
      const float a = low[i], b = high[i];
      const float2 turn = factors.turn[i];
      low[i] = __fmaf_rn(a, turn.x, -__fmul_rn(b, turn.y));
      high[i] = __fmaf_rn(b, turn.x, __fmul_rn(a, turn.y));
    }
  }
  __nv_bfloat16 of_low[kRopePairs], of_high[kRopePairs];
#pragma unroll
  for (int i = 0; i < kRopePairs; ++i) {
    of_low[i] = __float2bfloat16_rn(low[i]), of_high[i] = __float2bfloat16_rn(high[i]);
  }
  if (is_q) {
    __nv_bfloat16* const to = q + (static_cast<size_t>(row) * heads.heads + head) * dim;
#pragma unroll
    for (int i = 0; i < kRopePairs; ++i) {
      const int d = lane + 32 * i;
      if (d < half) to[d] = of_low[i], to[d + half] = of_high[i];
    }
    return;
  }
  const int kv_head = head - heads.heads - (is_v ? heads.kv_heads : 0);
  const size_t of_head =
      static_cast<size_t>(kv_head) * tile_elements(dim) + (is_v ? kTilePositions * dim : 0);
  const auto store = [&](__nv_bfloat16* tile) {
#pragma unroll
    for (int i = 0; i < kRopePairs; ++i) {
      const int d = lane + 32 * i;
      if (d >= half) continue;
      tile[tile_offset(place.slot, d, dim)] = of_low[i];
      tile[tile_offset(place.slot, d + half, dim)] = of_high[i];
    }
  };
  store(place.page + of_head);
  // A lane loads one of the other pages' numbers.
  for (int first = 0; first < place.copies; first += 32) {
    const int count = min(32, place.copies - first);
    const int own = lane < count ? batch.page_table[place.first_copy + first + lane] : 0;
    for (int i = 0; i < count; ++i) {
      const auto page = static_cast<size_t>(__shfl_sync(~0u, own, i));
      store(batch.cache.data + page * batch.cache.page_stride + of_head);
    }
  }
}

}  // namespace orthrus::cuda
