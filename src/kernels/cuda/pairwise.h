// Drafts that are chosen one after the other, with a pairwise term: kernels/pairwise.h, for the
// device. In a block's row whose own position has the token u, a token v has the logit
// l[v] + previous[u] . next[v]; u is the anchor in the first row, and then the draft of the row
// before.
//
// Only the kCandidates best tokens of each row are looked at, and so all that costs time is done
// for all rows at once: what would follow each of a row's candidates is known before it is known
// which of them is the draft.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "kernels/choice.h"
#include "kernels/cuda/candidates.h"
#include "kernels/cuda/select.h"

namespace orthrus::cuda {

// Both [vocabulary][rank], at a multiple of 16 bytes. Columns behind a table's own are zero.
struct PairTables {
  static constexpr int kRankUnit = 32;  // `rank` is a multiple of it

  const __nv_bfloat16* previous = nullptr;
  const __nv_bfloat16* next = nullptr;
  int rank = 0;  // 0: there are none
};

// out[m]: of logits[m], [vocabulary], for m < min(bucket, *count), where rows[m] has a link. Their
// rows of the tables are brought into the L2 cache. `stride` in floats.
[[nodiscard]] cudaError_t find_candidates(const float* logits, size_t stride, int vocabulary,
                                          const SelectRow* rows, const PairTables& tables,
                                          DraftCandidates* out, int bucket, const int* count,
                                          cudaStream_t stream);

// out[m]: of candidates[m], for m < min(bucket, *count), where rows[m] has a link. `ids` are the
// pass's. There are tables.
[[nodiscard]] cudaError_t find_terms(const SelectRow* rows, const DraftCandidates* candidates,
                                     const int32_t* ids, const PairTables& tables,
                                     CandidateTerms* out, int bucket, const int* count,
                                     cudaStream_t stream);

// out[m]: what is chosen in the place of row m, of the same rows, by the candidates' values and the
// term over the temperature; the lowest id on a tie. Its probability is its share of the softmax of
// the tokens kept, the candidates' scores with the term. -1 where there is no candidate, and in the
// chain's rows behind. `ids` are the pass's.
[[nodiscard]] cudaError_t choose_in_chains(const float* logits, size_t stride,
                                           const SelectRow* rows, const DraftCandidates* candidates,
                                           const int32_t* ids, const PairTables& tables,
                                           Choice* out, int bucket, const int* count,
                                           cudaStream_t stream);

}  // namespace orthrus::cuda
