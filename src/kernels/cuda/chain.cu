#include <climits>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/pair_terms.cuh"
#include "kernels/cuda/ptx.cuh"

namespace orthrus::cuda {
namespace {

// A block has a chain, two warps a row of it: each follows half of the candidates that may stand
// before.
constexpr int kWarps = 32;
constexpr int kThreads = kWarps * 32;
constexpr int kRowsAtOnce = kWarps / 2;

// A candidate that follows, and how good it is.
struct Follower {
  float value = -INFINITY;
  int id = INT_MAX;
  int place = -1;  // among its row's candidates; -1: none

  __device__ void take(const Follower& other) {
    if (other.value > value || (other.value == value && other.id < id)) *this = other;
  }
};

// What follows each candidate that may stand before a row.
struct Followers {
  int places[kPairCandidates];           // among the row's candidates; -1: none
  float probabilities[kPairCandidates];  // where they are asked for
};

// Finds, for a half of `before`, what follows in `row`. A warp's function.
class Links {
 public:
  __device__ Links(const PairTables& tables, const int32_t* before, const DraftCandidates& row,
                   float temperature)
      : row_(row), terms_(tables, before, row.ids, temperature) {}

  // Of this half.
  __device__ void follow(int half, bool with_probability, Followers& to) const {
#pragma unroll
    for (int side = 0; side < 2; ++side) {
      Follower best;
      for_each(side, [&](int place, float term) {
        best.take({row_.values[place] + term, row_.ids[place], place});
      });
      for (int step = 2; step > 0; step /= 2) {
        best.take({__shfl_xor_sync(~0u, best.value, step), __shfl_xor_sync(~0u, best.id, step),
                   __shfl_xor_sync(~0u, best.place, step)});
      }
      const float probability = with_probability ? share(side, best.place) : 0;
      if (PairTerms::column() != 0) continue;
      to.places[half + PairTerms::group() + 8 * side] = best.place;
      to.probabilities[half + PairTerms::group() + 8 * side] = probability;
    }
  }

 private:
  // Calls f(place, term) with this lane's candidates behind one of its two tokens.
  template <typename F>
  __device__ void for_each(int side, F f) const {
    terms_.for_each(side, [&](int place, float term) {
      if (row_.ids[place] >= 0) f(place, term);
    });
  }

  // Of the softmax in which the candidates' scores have their terms: that of the one chosen.
  __device__ float share(int side, int chosen) const {
    // No others where there are fewer candidates than there may be: see log_total_with
    // (pairwise.cpp).
    const bool all = row_.ids[kPairCandidates - 1] < 0;
    float most = all ? -INFINITY : row_.top;
    for_each(side, [&](int place, float term) { most = fmaxf(most, row_.scores[place] + term); });
    for (int step = 2; step > 0; step /= 2) most = fmaxf(most, __shfl_xor_sync(~0u, most, step));
    float before = 0, after = 0, own = 0;  // the candidates' parts without terms and with them
    for_each(side, [&](int place, float term) {
      before += expf(row_.scores[place] - most);
      const float part = expf(row_.scores[place] + term - most);
      after += part;
      if (place == chosen) own = part;
    });
    for (int step = 2; step > 0; step /= 2) {
      before += __shfl_xor_sync(~0u, before, step);
      after += __shfl_xor_sync(~0u, after, step);
      own += __shfl_xor_sync(~0u, own, step);
    }
    const float others = all ? 0 : fmaxf(row_.total * expf(row_.top - most) - before, 0.0f);
    return own / (others + after);
  }

  const DraftCandidates& row_;
  PairTerms terms_;
};

__global__ void __launch_bounds__(kThreads)
    chain_kernel(const float* logits, size_t stride, const SelectRow* rows,
                 const DraftCandidates* candidates, const int32_t* ids, PairTables tables,
                 Choice* out, const int* count) {
  __shared__ int32_t anchors[kPairCandidates];
  __shared__ Followers followers[kRowsAtOnce];
  let_successor_start();
  const int m = static_cast<int>(blockIdx.x);
  wait_for_predecessor();
  if (m >= *count || rows[m].link != 0) return;
  rows += m, candidates += m, out += m, logits += m * stride;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const int links = rows->links;
  const bool with_probability = rows->probability;
  // In the first row it is the anchor that stands before, in any place.
  if (warp == 0) anchors[lane] = ids[rows->anchor];
  __syncthreads();
  int place = 0;  // of the draft before, among its row's candidates
  for (int first = 0; first < links; first += kRowsAtOnce) {
    const int own = first + warp / 2, half = warp % 2 * PairTerms::kBefore;
    if (own < links) {
      const int32_t* const before = own == 0 ? anchors : candidates[own - 1].ids;
      Links(tables, before + half, candidates[own], rows->temperature)
          .follow(half, with_probability, followers[own - first]);
    }
    __syncthreads();
    if (warp == 0) {
      const int here = min(kRowsAtOnce, links - first);
      Choice choice;  // in row first + lane
      int chosen = -1;
      for (int i = 0; i < here; ++i) {
        if (place < 0) break;
        const Followers& of_row = followers[i];
        if (i == lane)
          chosen = of_row.places[place], choice.probability = of_row.probabilities[place];
        place = of_row.places[place];
      }
      if (chosen >= 0) {
        const int row = first + lane;
        choice.id = candidates[row].ids[chosen];
        choice.logit = logits[row * stride + choice.id];
      } else {
        choice.probability = 0;
      }
      if (lane < here) out[first + lane] = choice;
    }
    __syncthreads();
  }
}

}  // namespace

cudaError_t choose_in_chains(const float* logits, size_t stride, const SelectRow* rows,
                             const DraftCandidates* candidates, const int32_t* ids,
                             const PairTables& tables, Choice* out, int bucket, const int* count,
                             cudaStream_t stream) {
  return launch(chain_kernel, bucket, kThreads, 0, 1, stream, logits, stride, rows, candidates, ids,
                tables, out, count);
}

}  // namespace orthrus::cuda
