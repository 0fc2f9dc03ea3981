// How queries, keys and values come into shared memory.
#pragma once

#include "kernels/cuda/attention_rows.cuh"

namespace orthrus::cuda {

// kRows of them, all of a thread's loads in flight together.
template <int D, int kRows>
__device__ void load_queries(const Output<D>& to, uint8_t* queries) {
  constexpr int kChunks = D / 8, kStep = kConsumers / kChunks, kLoads = (kRows - 1) / kStep + 1;
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
    barrier_expect(full, Layout<D>::kTileBytes);
    copy_bytes(to, from, Layout<D>::kTileBytes, full);
  } else if (lane == 0) {
    const uint32_t bytes = static_cast<uint32_t>(stored) * D * 2;
    barrier_expect(full, 2 * bytes);
    copy_bytes(to, from, bytes, full);
    copy_bytes(to + Layout<D>::kTileBytes / 2, from + kTilePositions * D, bytes, full);
  }
#else
  for (int i = lane; i < Layout<D>::kTileBytes / 16; i += 32) {
    reinterpret_cast<uint4*>(to)[i] = reinterpret_cast<const uint4*>(from)[i];
  }
  __syncwarp();
  if (lane == 0) barrier_arrive(full);
#endif
}

// All of an item's, by a warp. Calls `wait_until_stored` before it touches what the pass stores.
template <int D, typename Wait>
__device__ void fetch_tiles(const AttentionJob& job, const AttentionItem& item, uint8_t* tiles,
                            Ring<D>& ring, const Wait& wait_until_stored) {
  const KvSpan& span = item.span;
  for (int split = item.first_split; split < item.last_split; ++split) {
    const SplitTiles from = tiles_of_split(item, split);
    const int stored = stored_keys(span, from.block);
    for (int t = from.first; t < from.first + from.count; ++t) {
      const KvPages& pages = from.block ? job.batch.block : job.batch.cache;
      const int page =
          from.block ? span.first_block_page + t : job.batch.page_table[span.first_page + t];
      if (ring.round > 0) barrier_wait(&ring.empty[ring.stage], (ring.round - 1) & 1);
      // Tiles of earlier passes are there already; others are being stored.
      if (from.block || (t + 1) * kTilePositions > span.known()) wait_until_stored();
      fetch<D>(tiles + ring.stage * Layout<D>::kTileBytes,
               pages.data + page * pages.page_stride +
                   static_cast<size_t>(item.kv_head) * tile_elements(D),
               stored - t * kTilePositions, &ring.full[ring.stage]);
      ring.next();
    }
  }
}

}  // namespace orthrus::cuda
