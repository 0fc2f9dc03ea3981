#include <algorithm>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_job.h"
#include "kernels/cuda/attention_merge.cuh"
#include "kernels/cuda/attention_rows.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx.cuh"

namespace orthrus::cuda {
namespace {

constexpr int kThreads = kConsumers + 32;

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

template <int D>
__device__ void produce(const AttentionJob& job, const AttentionItem& item, uint8_t* tiles,
                        Ring<D>& ring) {
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
      if (from.block || (t + 1) * kTilePositions > span.known()) wait_for_predecessor();
      fetch<D>(tiles + ring.stage * Layout<D>::kTileBytes,
               pages.data + page * pages.page_stride +
                   static_cast<size_t>(item.kv_head) * tile_elements(D),
               stored - t * kTilePositions, &ring.full[ring.stage]);
      ring.next();
    }
  }
}

template <int D>
__global__ void __launch_bounds__(kThreads, 2)
    attention_kernel(const __grid_constant__ AttentionJob job) {
  // All shared memory is in one piece, which so begins at a multiple of a tile's longest row.
  extern __shared__ __align__(256) uint8_t shared[];
  uint64_t* const full = reinterpret_cast<uint64_t*>(shared + Layout<D>::kBarriers);
  uint64_t* const empty = full + Layout<D>::kStages;
  constexpr bool kFewSupported = D / 8 / kWarps >= 2;
  if (threadIdx.x == 0) {
    for (int i = 0; i < Layout<D>::kStages; ++i) {
      barrier_init(&full[i], 1);
      barrier_init(&empty[i], kWarps);
    }
    barrier_init_fence();
  }
  __syncthreads();
  let_successor_start();
  const AttentionWork work = job.work();
  const AttentionPlan plan = plan_of(work, kFewSupported);
  const float scale = 1.4426950408889634f / sqrtf(static_cast<float>(D));
  uint8_t* const tiles = shared + Layout<D>::kRing;
  Ring<D> ring{shared_address(tiles), full, empty,
               plan.apart ? Layout<D>::kStages : Layout<D>::kStages - 1};
  AttentionItem item;
  for (int i = static_cast<int>(blockIdx.x); find_item(work, plan, i, item);
       i += static_cast<int>(gridDim.x)) {
    if (warp_index() >= kWarps) {
      produce<D>(job, item, tiles, ring);
      continue;
    }
    wait_for_predecessor();
    const Output<D> to{job, item};
    named_barrier(1, kConsumers);  // the queries before are done with
    if (item.rows <= kFewRows) {
      load_queries<D, kFewRows>(to, shared);
    } else {
      load_queries<D, kBlockRows>(to, shared);
    }
    named_barrier(1, kConsumers);
    const uint32_t queries = after_barrier(shared_address(shared));
    if constexpr (kFewSupported) {
      if (item.rows <= kFewRows) {
        Exchange& exchange = *reinterpret_cast<Exchange*>(shared + kFewRows * D * 2);
        attend_few(to, ring, queries, exchange, scale, plan.apart);
        continue;
      }
    }
    attend_many(to, ring, queries, reinterpret_cast<float*>(shared + Layout<D>::kSums), scale,
                plan.apart);
  }
  wait_for_predecessor();  // also where there was nothing to do: whoever waits for this block
}

int most_splits(int positions) {
  // The cache's and the block's, neither of which need end with a split.
  return (positions + kSplitTiles * kTilePositions - 1) / (kSplitTiles * kTilePositions) + 2;
}

template <int D>
cudaError_t launch_attention(const AttentionJob& job, int splits, cudaStream_t stream) {
  if (const cudaError_t error =
          launch(attention_kernel<D>, job.blocks, kThreads, Layout<D>::kBytes, 1, stream, job);
      error != cudaSuccess) {
    return error;
  }
  return launch_merge<D>(job, splits, stream);
}

}  // namespace

size_t attention_workspace_bytes(const Heads& heads, int bucket, int positions) {
  const size_t parts = static_cast<size_t>(most_splits(positions)) *
                       std::min(bucket, kMostRowsApart) * static_cast<size_t>(heads.heads);
  return parts * (sizeof(float2) + static_cast<size_t>(heads.head_dim) * sizeof(float));
}

cudaError_t attention(const __nv_bfloat16* q, const Heads& heads, const KvBatch& batch,
                      __nv_bfloat16* out, void* workspace, int bucket, int positions,
                      cudaStream_t stream) {
  AttentionJob job = {};
  job.heads = heads;
  job.batch = batch;
  job.q = q;
  job.out = out;
  job.part_rows = std::min(bucket, kMostRowsApart);
  // In multiples of 16 bytes: the values of a part are.
  job.part_values = static_cast<float*>(workspace);
  job.part_tops = reinterpret_cast<float2*>(
      job.part_values + static_cast<size_t>(most_splits(positions)) * job.part_rows *
                            static_cast<size_t>(heads.heads) * heads.head_dim);
  // Two blocks fit a multiprocessor; each takes items until there are none.
  int processors = 0;
  if (const cudaError_t error = count_multiprocessors(&processors); error != cudaSuccess) {
    return error;
  }
  job.blocks = 2 * processors;
  switch (heads.head_dim) {
    case 16:
      return launch_attention<16>(job, most_splits(positions), stream);
    case 32:
      return launch_attention<32>(job, most_splits(positions), stream);
    case 64:
      return launch_attention<64>(job, most_splits(positions), stream);
    case 128:
      return launch_attention<128>(job, most_splits(positions), stream);
    default:
      return cudaErrorInvalidValue;
  }
}

}  // namespace orthrus::cuda
