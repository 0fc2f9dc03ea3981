#include <algorithm>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_fetch.cuh"
#include "kernels/cuda/attention_merge.cuh"
#include "kernels/cuda/attention_plan.cuh"
#include "kernels/cuda/attention_rows.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx.cuh"

namespace orthrus::cuda {
namespace {

constexpr int kThreads = kConsumers + 32;

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
  const AttentionPlan plan = plan_of(job, kFewSupported);
  const float scale = 1.4426950408889634f / sqrtf(static_cast<float>(D));
  uint8_t* const tiles = shared + Layout<D>::kRing;
  Ring<D> ring{shared_address(tiles), full, empty,
               plan.apart ? Layout<D>::kStages : Layout<D>::kStages - 1};
  AttentionItem item;
  for (int i = static_cast<int>(blockIdx.x); find_item(job, plan, i, item);
       i += static_cast<int>(gridDim.x)) {
    if (threadIdx.x >= kConsumers) {
      fetch_tiles<D>(job, item, tiles, ring, [] { wait_for_predecessor(); });
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
  AttentionJob job = make_attention_job(q, heads, batch, out, workspace, bucket, positions);
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
