// How queries, keys and values get into a block's shared memory.
#pragma once

#include "kernels/cuda/attention_job.h"
#include "kernels/cuda/attention_rows.cuh"
#include "kernels/cuda/ptx.cuh"

namespace orthrus::cuda {

// kRows of them, by the first kThreads of a block, all of a thread's loads in flight together.
template <int D, int kRows, int kThreads>
__device__ void load_queries(const Output<D>& to, uint8_t* queries) {
  constexpr int kChunks = D / 8, kStep = kThreads / kChunks, kLoads = (kRows - 1) / kStep + 1;
  const int chunk = static_cast<int>(threadIdx.x) % kChunks;
  const int first = static_cast<int>(threadIdx.x) / kChunks;
  const int rows = to.item.rows, group = to.group(), r = to.item.first_row + first;
  // A query lies as its output does; rows are counted up here, division being slow.
  const __nv_bfloat16* const from = to.job.q + (to.out(0) - to.job.out);
  int token = r / group - to.item.first_row / group, head = r % group - to.item.first_row % group;
  const int heads = to.job.heads.heads, step = kStep / group, rest = kStep - step * group;
  const int most = group - to.item.first_row % group;
  uint4 v[kLoads];
#pragma unroll
  for (int i = 0; i < kLoads; ++i) {
    const int offset = (token * heads + head) * D;
    v[i] =
        first + i * kStep < rows ? reinterpret_cast<const uint4*>(from + offset)[chunk] : uint4{};
    token += step, head += rest;
    if (head >= most) head -= group, ++token;
  }
#pragma unroll
  for (int i = 0; i < kLoads; ++i) {
    const int row = first + i * kStep;
    if (row >= kRows) break;
    *reinterpret_cast<uint4*>(queries + 2 * tile_offset(row, chunk * 8, D)) = v[i];
  }
}

// A tile into shared memory, by a warp; of its positions, as many as are stored at least.
template <int D>
__device__ void fetch(uint8_t* to, const __nv_bfloat16* from, int stored, uint64_t* full) {
  const int lane = threadIdx.x % 32;
#if __CUDA_ARCH__ >= 900
  if (lane == 0 && stored >= kTilePositions) {
    barrier_expect(full, kTileBytes<D>);
    copy_bytes(to, from, kTileBytes<D>, full);
  } else if (lane == 0) {
    const uint32_t bytes = static_cast<uint32_t>(stored) * D * 2;
    barrier_expect(full, 2 * bytes);
    copy_bytes(to, from, bytes, full);
    copy_bytes(to + kTileBytes<D> / 2, from + kTilePositions * D, bytes, full);
  }
#else
  for (int i = lane; i < kTileBytes<D> / 16; i += 32) {
    reinterpret_cast<uint4*>(to)[i] = reinterpret_cast<const uint4*>(from)[i];
  }
  __syncwarp();
  if (lane == 0) barrier_arrive(full);
#endif
}

// The keys of a tile, or its values. Run on devices with bulk copies alone.
template <int D>
__device__ void fetch_half(uint8_t* to, const __nv_bfloat16* from, int stored, uint64_t* full) {
  const int lane = threadIdx.x % 32, bytes = smaller(stored, kTilePositions) * D * 2;
#if __CUDA_ARCH__ >= 900
  if (lane == 0) {
    barrier_expect(full, static_cast<uint32_t>(bytes));
    copy_bytes(to, from, static_cast<uint32_t>(bytes), full);
  }
#else
  for (int i = lane; i < bytes / 16; i += 32) {
    reinterpret_cast<uint4*>(to)[i] = reinterpret_cast<const uint4*>(from)[i];
  }
  __syncwarp();
  if (lane == 0) barrier_arrive(full);
#endif
}

// Tile `t` of the cache or of the block, once it may be read: tiles of earlier passes are there
// already; others are being stored.
template <int D>
__device__ const __nv_bfloat16* where_tile(const AttentionJob& job, const AttentionItem& item,
                                           bool block, int t) {
  const KvSpan& span = item.span;
  const KvPages& pages = block ? job.batch.block : job.batch.cache;
  const int page = block ? span.first_block_page + t : job.batch.page_table[span.first_page + t];
  if (block || (t + 1) * kTilePositions > span.known()) wait_for_predecessor();
  return pages.data + page * pages.page_stride +
         static_cast<size_t>(item.kv_head) * tile_elements(D);
}

}  // namespace orthrus::cuda
