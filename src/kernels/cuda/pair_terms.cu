#include "kernels/cuda/launch.h"
#include "kernels/cuda/pair_terms.cuh"

namespace orthrus::cuda {
namespace {

// A block has a row, each of its warps half of the tokens before.
constexpr int kThreads = kPairCandidates / PairTerms::kBefore * 32;

__global__ void __launch_bounds__(kThreads)
    pair_terms_kernel(const SelectRow* rows, const DraftCandidates* candidates, const int32_t* ids,
                      PairTables tables, CandidateTerms* out, const int* count) {
  __shared__ int32_t before[kPairCandidates];
  let_successor_start();
  const int m = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x);
  wait_for_predecessor();
  if (m >= *count || rows[m].link < 0) return;
  // In a chain's first row it is the anchor that stands before, in any place.
  if (thread < kPairCandidates) {
    before[thread] = rows[m].link == 0 ? ids[rows[m].anchor] : candidates[m - 1].ids[thread];
  }
  __syncthreads();
  const int first = thread / 32 * PairTerms::kBefore;
  const PairTerms terms(tables, before + first, candidates[m].ids, rows[m].temperature);
  for (int side = 0; side < 2; ++side) {
    float* const to = out[m].behind[first + PairTerms::group() + 8 * side];
    terms.for_each(side, [&](int candidate, float term) { to[candidate] = term; });
  }
}

}  // namespace

cudaError_t find_terms(const SelectRow* rows, const DraftCandidates* candidates, const int32_t* ids,
                       const PairTables& tables, CandidateTerms* out, int bucket, const int* count,
                       cudaStream_t stream) {
  return launch(pair_terms_kernel, bucket, kThreads, 0, 1, stream, rows, candidates, ids, tables,
                out, count);
}

}  // namespace orthrus::cuda
