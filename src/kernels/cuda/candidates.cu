#include "kernels/cuda/device_features.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/logits_row.cuh"
#include "kernels/cuda/pairwise.h"
#include "kernels/cuda/philox.cuh"

namespace orthrus::cuda {
namespace {

// The best keys of 32 lanes: lane i's is the i-th best.
static_assert(kPairCandidates == 32);

__device__ inline int lane_of_thread() {
  return static_cast<int>(threadIdx.x) % 32;
}
__device__ inline int warp_of_thread() {
  return static_cast<int>(threadIdx.x) / 32;
}

__device__ inline Key exchanged(Key key, int step, bool larger) {
  const Key other = __shfl_xor_sync(~0u, key, step);
  return larger ? max(key, other) : min(key, other);
}

// The lanes' keys, the best first: a bitonic sort.
__device__ inline Key sorted(Key key) {
  const int lane = lane_of_thread();
  for (int run = 2; run <= 32; run *= 2) {
    for (int step = run / 2; step > 0; step /= 2) {
      key = exchanged(key, step, ((lane & step) == 0) == ((lane & run) == 0));
    }
  }
  return key;
}

// The 32 best of twice 32, each of which are sorted.
__device__ inline Key merged(Key a, Key b) {
  const int lane = lane_of_thread();
  Key key = max(a, __shfl_sync(~0u, b, 31 - lane));
  for (int step = 16; step > 0; step /= 2) key = exchanged(key, step, (lane & step) == 0);
  return key;
}

// Finds the best of a block's slice of a row, and then of the blocks'.
//
// The 32nd best of the threads' best keys is a bound: 32 keys are at least that, and not many more.
// Those are listed, and sorted. Should there be no room for all of them, then the 32nd best of the
// list is a higher bound.
template <int kBlocks>
class CandidateSearch {
 public:
  using Row = LogitsRow<kBlocks>;
  static constexpr int kRoom = 1024;

  struct Shared {
    typename Row::Shared row;
    Key listed[kRoom];
    int found;
    Key of_warps[kRowWarps / 2][kPairCandidates];
    Key best[kPairCandidates];
  };

  __device__ CandidateSearch(const float* logits, int vocabulary, const SelectRow& how,
                             Shared& shared)
      : row_(logits, vocabulary, how, shared.row), how_(how), s_(shared) {}

  __device__ void find(const PairTables& tables, DraftCandidates* out) {
    if (!row_.find_top()) {
      if (first_warp()) out->ids[lane_of_thread()] = -1;
      return;
    }
    if (!how_.greedy) row_.filter();
    find_in_slice();
    if constexpr (kBlocks > 1) {
      row_.sync();
      if (cluster_rank() == 0) {
        const int warp = warp_of_thread();
        combine(warp < kBlocks ? at_rank(s_.best, warp)[lane_of_thread()] : Key{0});
      }
      row_.sync();  // all have been read
    }
    if (cluster_has_result()) {
      const Key key = s_.best[lane_of_thread()];
      const int id = key == 0 ? -1 : id_of(key);
      prefetch(tables, id);
      if (first_warp()) {
        out->ids[lane_of_thread()] = id;
        out->values[lane_of_thread()] = key == 0 ? 0 : score_of(key);
        if (how_.probability && id >= 0) out->scores[lane_of_thread()] = row_.score_at(id);
      }
    }
    if (how_.probability) {
      const auto total = static_cast<double>(row_.kept_mass());
      if (row_.first_thread()) {
        out->top = row_.top();
        out->total = static_cast<float>(total * 0x1p-40);
      }
    }
  }

 private:
  __device__ bool cluster_has_result() const { return kBlocks == 1 || cluster_rank() == 0; }
  __device__ bool first_warp() const { return warp_of_thread() == 0 && cluster_has_result(); }

  // s_.best: of the slice.
  __device__ void find_in_slice() {
    Key own = row_.own_top();
    if (!how_.greedy) {
      own = 0;
      for_each_key(own, [&](Key key) { own = max(own, key); });
    }
    combine(sorted(own));
    for (;;) {
      const Key least = max(s_.best[kPairCandidates - 1], Key{1});
      if (threadIdx.x == 0) s_.found = 0;
      __syncthreads();
      for_each_key(least, [&](Key key) {
        const int at = atomicAdd(&s_.found, 1);
        if (at < kRoom) s_.listed[at] = key;
      });
      __syncthreads();
      const int found = s_.found, listed = min(found, kRoom);
      Key keys = 0;
      for (int first = 0; first < listed; first += kRowThreads) {
        const int i = first + static_cast<int>(threadIdx.x);
        keys = merged(keys, sorted(i < listed ? s_.listed[i] : Key{0}));
      }
      combine(keys);
      if (found <= kRoom) return;
    }
  }

  // Calls f with the keys of value and id of all tokens kept, of the slice, that are at least
  // `least`, which f may raise.
  template <typename F>
  __device__ void for_each_key(const Key& least, F f) const {
    if (how_.greedy) {
      const float bound = value_of(least);
      row_.for_each([&](float score, int id) {
        if (score < bound) return;
        if (const Key key = key_of(score, id); key >= least) f(key);
      });
      return;
    }
    row_.for_each_quad([&](const float(&score)[4], int quad, int count) {
      const float bound = value_of(least);
      bool any = false;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        any |= i < count && score[i] + static_cast<float>(kMostGumbel) >= bound;
      }
      if (!any) return;
      const uint4 four = philox(how_.seed, how_.position, static_cast<uint32_t>(quad));
      const uint32_t bits[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int id = 4 * quad + i;
        if (i >= count || score[i] + gumbel_bound(bits[i]) < bound) continue;
        if (!row_.kept(score[i], id)) continue;
        const double value = static_cast<double>(score[i]) + gumbel(bits[i]);
        if (const Key key = key_of(static_cast<float>(value), id); key >= least) f(key);
      }
    });
  }

  // What a token's value is at least if its key is.
  __device__ static float value_of(Key least) {
    constexpr Key kAnyValue = Key{1} << 32;  // the keys below are no token's
    return least < kAnyValue ? -INFINITY : score_of(least);
  }

  // s_.best: the best of all warps' keys, each of which are sorted.
  __device__ void combine(Key keys) {
    const int lane = lane_of_thread(), warp = warp_of_thread();
    for (int half = kRowWarps / 2; half > 0; half /= 2) {
      if (warp >= half && warp < 2 * half) s_.of_warps[warp - half][lane] = keys;
      __syncthreads();
      if (warp < half) keys = merged(keys, s_.of_warps[warp][lane]);
      __syncthreads();
    }
    if (warp == 0) s_.best[lane] = keys;
    __syncthreads();
  }

  // A token's rows, of which each warp brings some lines.
  __device__ static void prefetch(const PairTables& tables, int id) {
    constexpr int kLine = 64;  // of bf16
    if (id < 0) return;
    const size_t row = static_cast<size_t>(id) * static_cast<size_t>(tables.rank);
    for (int at = warp_of_thread() * kLine; at < tables.rank; at += kRowWarps * kLine) {
      prefetch_line(tables.previous + row + at);
      prefetch_line(tables.next + row + at);
    }
  }

  Row row_;
  SelectRow how_;
  Shared& s_;
};

template <int kBlocks>
__global__ void __launch_bounds__(kRowThreads)
    candidates_kernel(const float* logits, size_t stride, int vocabulary, const SelectRow* rows,
                      PairTables tables, DraftCandidates* out, const int* count) {
#if __CUDA_ARCH__ < 900
  if constexpr (kBlocks > 1) return;  // never launched: there are no clusters
  constexpr int kOfRow = 1;
#else
  constexpr int kOfRow = kBlocks;
#endif
  __shared__ typename CandidateSearch<kOfRow>::Shared shared;
  let_successor_start();
  const int m = static_cast<int>(blockIdx.x) / kOfRow;
  wait_for_predecessor();
  if (m >= *count) return;
  const SelectRow how = rows[m];
  if (how.link < 0) return;
  CandidateSearch<kOfRow>(logits + m * stride, vocabulary, how, shared).find(tables, out + m);
}

}  // namespace

cudaError_t find_candidates(const float* logits, size_t stride, int vocabulary,
                            const SelectRow* rows, const PairTables& tables, DraftCandidates* out,
                            int bucket, const int* count, cudaStream_t stream) {
  if (has_wgmma() && vocabulary > kSmallVocabulary) {
    return launch(candidates_kernel<kManyBlocks>, bucket * kManyBlocks, kRowThreads, 0, kManyBlocks,
                  stream, logits, stride, vocabulary, rows, tables, out, count);
  }
  return launch(candidates_kernel<1>, bucket, kRowThreads, 0, 1, stream, logits, stride, vocabulary,
                rows, tables, out, count);
}

}  // namespace orthrus::cuda
