// The steps of decoding between passes, on the device: a cycle of draft, verify and accept
// (decode/decoder.h) whose blocks are built, and whose drafts are accepted, where the passes run.
//
// Sequences have slots, of which there is a fixed number: which ones are taken, and take part in a
// cycle, is data. Kernels depend on none of it.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/choice.h"
#include "kernels/cuda/grow_tree.h"
#include "kernels/cuda/pass_inputs.h"
#include "kernels/cuda/row_context.h"

namespace orthrus::cuda {

// A sequence between cycles.
struct CycleSlot {
  int position = 0;      // p: the keys of all positions before are in the cache
  int32_t anchor = 0;    // x_p
  int left = 0;          // tokens that it may still emit; none once it has ended
  int stops = 0;         // ids that end it
  SelectRow sampling{};  // but for position and drafts; temperature 0: greedy, without a context

  // Of the current cycle.
  int planned = -1;  // drafts that the host wants; -1: it takes no part
  int drafted = 0;   // rows of its draft pass
  int drafts = 0;    // n: those that are verified
  int head_row = 0;  // its first among the rows of its kind
};

// What the host wants of a slot in a cycle, and what is new of its sequence's page table. Read at
// once.
struct alignas(16) SlotPlan {
  static constexpr int kMostPages = 2;  // a cycle with a usual block needs no more

  int drafts = -1;                   // CycleSlot::planned
  int first_page = 0;                // of `pages`, in the sequence's page table
  int pages[kMostPages] = {-1, -1};  // -1: none
};

// What a cycle gave of a sequence that took part: y_0 .. y_j, in CycleExchange::tokens.
struct CycleOutcome {
  int drafted = 0;      // rows of its draft pass
  int verified = 0;     // n
  int accepted = 0;     // j
  int tokens = 0;       // emitted; 0 when it had ended
  bool failed = false;  // a logit was not finite before any token was emitted
};

// When, by the device's clock, in nanoseconds.
struct CycleClock {
  uint64_t begin = 0, drafted = 0, end = 0;
};

// What the host and the device tell each other of a cycle, in memory of the host that both see: the
// device reads the plan when the cycle begins, and has written the rest when it is over.
struct CycleExchange {
  SlotPlan* plan = nullptr;          // [slots]
  CycleClock* clock = nullptr;       // [1]
  CycleOutcome* outcomes = nullptr;  // [slots], of those that take part
  int32_t* tokens = nullptr;         // [slots][block_size]
  // Where drafts are trees.
  TreePlan* trees = nullptr;  // [slots]
  TreeNode* nodes = nullptr;  // [slots][kMostTreeNodes], `verified` of each
};

// Of a branch's page, the key and value in one slot, which go to a page of the sequence's own.
struct KeptRow {
  int from = 0, to = 0;  // pages of the cache
  int slot = 0;          // of the tile
};

// Drafts that are trees (kernels/cuda/grow_tree.h).
struct CycleTrees {
  SlotTree* of_slot = nullptr;  // [slots]
  TreeTables tables{};          // but for `own`; behind the sequences' tables
  KeptRow* kept = nullptr;      // [slots][block_size], of all slots together
  int* kept_count = nullptr;    // of those
};

// On the device, but for the exchanges.
struct CycleState {
  static constexpr uint32_t kExchanges = 2;  // a power of two, since numbers wrap around
  // Of 32 bits, cycles' numbers wrap around: the second one's is 0, so that every run does.
  static constexpr uint32_t kFirstCycle = ~uint32_t{0};
  static constexpr int kMostSlots = 256;

  int slots = 0;
  int block_size = 0;              // more than any block's drafts
  int most_stops = 0;              // of a sequence
  int most_pages = 0;              // of a sequence: its part of the passes' page table
  CycleSlot* of_slot = nullptr;    // [slots]
  const int32_t* stops = nullptr;  // [slots][most_stops]
  RowContexts contexts{};          // up to the anchors
  int vocabulary = 0;
  bool chained = false;       // drafts are chosen in chains (kernels/cuda/pairwise.h)
  bool by_trees = false;      // or become trees
  int32_t* drafts = nullptr;  // [slots][block_size]
  CycleClock* clock = nullptr;
  CycleTrees trees{};
  uint32_t* cycle = nullptr;  // the one that runs, or comes; it uses exchange [*cycle % kExchanges]
  CycleExchange exchanges[kExchanges];
};

// What a pass chooses: by row of the LM head whose logits are needed, and by row of which the
// largest is.
struct PassChoices {
  const Choice* sampled = nullptr;
  const Choice* tops = nullptr;
};

// In each, PassInputs::head_rows has the rows of which the largest logit is needed from
// `first_top`; its page table, [slots][most_pages], is the cycles' own.

// 1. Draft: the inputs of a pass over [x_p, MASK, ...] of each sequence in the diffusion view.
[[nodiscard]] cudaError_t begin_draft(const CycleState& state, int32_t mask_token_id,
                                      const PassInputs& pass, int first_top, cudaStream_t stream);

// 2. Verify: those of a pass over [x_p, d_1, ..., d_n] in the AR view; the drafts are what the
// draft pass chose, if there was one.
[[nodiscard]] cudaError_t begin_verify(const CycleState& state, const PassChoices* drafts,
                                       const PassInputs& pass, int first_top, cudaStream_t stream);

// 3. Accept: the longest prefix of the drafts that the AR view agrees to, and its own next token.
[[nodiscard]] cudaError_t accept(const CycleState& state, const PassChoices& choices,
                                 cudaStream_t stream);

// The same with trees. Between the draft pass and the verify pass trees grow from what the draft
// pass has found, and get rows and pages of branches; then the inputs of the pass over them.
// `terms`: null, or what has been found.
[[nodiscard]] cudaError_t grow_trees(const CycleState& state, const DraftCandidates* candidates,
                                     const CandidateTerms* terms, cudaStream_t stream);
[[nodiscard]] cudaError_t begin_tree_verify(const CycleState& state, const PassInputs& pass,
                                            int first_top, cudaStream_t stream);

// And the longest path that the AR view agrees to, whose keys and values become the sequence's own.
[[nodiscard]] cudaError_t accept_paths(const CycleState& state, const PassChoices& choices,
                                       const KvPages& cache, const Heads& heads, int layers,
                                       size_t layer_stride, cudaStream_t stream);

}  // namespace orthrus::cuda
