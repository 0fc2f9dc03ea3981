// What the kernels between a cycle's passes share: slots, and the rows that they have of a pass.
#pragma once

#include "kernels/cuda/cycle.h"
#include "kernels/cuda/ptx.cuh"

namespace orthrus::cuda {

inline constexpr int kSlotThreads = CycleState::kMostSlots;  // each has a slot, or none
inline constexpr int kSlotWarps = kSlotThreads / 32;

__device__ inline uint64_t nanoseconds() {
  uint64_t time;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(time));
  return time;
}

// Its rows are such of which the largest logit is needed; in a draft pass, not where drafts are
// chosen in chains or from trees.
__device__ inline bool takes_top(const CycleState& state, const CycleSlot& slot, bool diffusion) {
  return slot.sampling.temperature <= 0 && !(diffusion && (state.chained || state.by_trees));
}

__device__ inline const CycleExchange& exchange(const CycleState& state) {
  return state.exchanges[*state.cycle % CycleState::kExchanges];
}

// This thread's slot, if its sequence takes part in the cycle.
__device__ inline CycleSlot* own_slot(const CycleState& state) {
  const int s = static_cast<int>(threadIdx.x);
  if (s >= state.slots || state.of_slot[s].planned < 0) return nullptr;
  return &state.of_slot[s];
}

__device__ inline void begin_cycle(const CycleState& state, const PassInputs& pass) {
  if (threadIdx.x == 0) state.clock->begin = nanoseconds();
  const int s = static_cast<int>(threadIdx.x);
  if (s >= state.slots) return;
  const SlotPlan plan = exchange(state).plan[s];
  for (int i = 0; i < SlotPlan::kMostPages; ++i) {
    if (plan.pages[i] < 0) continue;
    pass.page_table[s * state.most_pages + plan.first_page + i] = plan.pages[i];
  }
  CycleSlot& slot = state.of_slot[s];
  slot.planned = plan.drafts;
  slot.drafted = slot.drafts = 0;
}

// What the slots' sequences have of a pass, in numbers.
struct Shares {
  enum { kSpans, kRows, kLogits, kTops, kBlockPages, kCount };
  int of[kCount] = {};
};

// Those of all slots before this thread's, and of all slots.
__device__ inline Shares shares_before(const Shares& own, Shares& all) {
  __shared__ Shares of_warp[kSlotWarps];
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  Shares sum = own;
  for (int step = 1; step < 32; step *= 2) {
    for (int& part : sum.of) {
      const int below = __shfl_up_sync(~0u, part, step);
      if (lane >= step) part += below;
    }
  }
  if (lane == 31) of_warp[warp] = sum;
  __syncthreads();
  Shares before;
  all = {};
  for (int i = 0; i < Shares::kCount; ++i) {
    before.of[i] = sum.of[i] - own.of[i];
    for (int w = 0; w < kSlotWarps; ++w) {
      if (w < warp) before.of[i] += of_warp[w].of[i];
      all.of[i] += of_warp[w].of[i];
    }
  }
  return before;
}

// The rows of each slot in the pass, and its first span.
struct SlotRows {
  int first = 0, count = 0, span = 0;
};

// Deals out the rows of a pass over blocks in the diffusion view, or else in the AR view, `rows` to
// this thread's slot, and says in `rows_of`, [slots], which they are. The slot's first span has
// `trunk_rows` of them; `branches` more are left for others to describe.
__device__ inline void deal_out(const CycleState& state, const PassInputs& pass, bool diffusion,
                                CycleSlot* slot, int rows, int trunk_rows, int branches,
                                SlotRows* rows_of) {
  Shares own, all;
  const int kind = rows > 0 && takes_top(state, *slot, diffusion) ? Shares::kTops : Shares::kLogits;
  if (rows > 0) {
    own.of[Shares::kSpans] = 1 + branches;
    own.of[Shares::kRows] = rows;
    own.of[kind] = rows;
    own.of[Shares::kBlockPages] = diffusion ? (rows + kTilePositions - 1) / kTilePositions : 0;
  }
  const Shares before = shares_before(own, all);
  const int s = static_cast<int>(threadIdx.x);
  if (s < state.slots) rows_of[s] = {before.of[Shares::kRows], rows, before.of[Shares::kSpans]};
  if (rows > 0) {
    slot->head_row = before.of[kind];
    KvSpan* const spans = diffusion ? pass.spans.diffusion : pass.spans.ar;
    spans[before.of[Shares::kSpans]] = {
        .first_row = before.of[Shares::kRows],
        .rows = trunk_rows,
        .first_position = slot->position,
        .first_page = s * state.most_pages,
        .first_block_page = diffusion ? before.of[Shares::kBlockPages] : -1,
        .tree_rows = rows};
  }
  if (threadIdx.x == 0) {
    PassCounts counts = {};
    (diffusion ? counts.rows.diffusion : counts.rows.ar) = all.of[Shares::kRows];
    (diffusion ? counts.spans.diffusion : counts.spans.ar) = all.of[Shares::kSpans];
    counts.all_rows = all.of[Shares::kRows];
    counts.logits = all.of[Shares::kLogits], counts.tops = all.of[Shares::kTops];
    *pass.counts = counts;
  }
  __syncthreads();
}

// Calls fill(s, i, row) for the slots' rows: row i of slot s, in row `row` of the pass. A warp a
// slot.
template <typename Fill>
__device__ inline void for_each_row(const CycleState& state, const SlotRows* rows_of, Fill fill) {
  for (int s = static_cast<int>(threadIdx.x) / 32; s < state.slots; s += kSlotWarps) {
    const SlotRows rows = rows_of[s];
    for (int i = static_cast<int>(threadIdx.x) % 32; i < rows.count; i += 32) {
      fill(s, i, rows.first + i);
    }
  }
}

// The head row of the slot's row i, which stands in row `row` of the pass, `depth` positions behind
// the anchor: in the diffusion view, or else in the AR view, behind as many drafts.
__device__ inline void ask(const CycleState& state, const PassInputs& pass, const CycleSlot& slot,
                           int first_top, int row, int i, int depth, bool diffusion) {
  const int head_row = slot.head_row + i, drafts = diffusion ? 0 : depth;
  const bool top = takes_top(state, slot, diffusion);
  pass.head_rows[top ? first_top + head_row : head_row] = row;
  if (top) return;
  SelectRow& select = pass.select[head_row];
  select = slot.sampling;
  select.position = slot.position + depth + 1;
  select.last_draft = row;
  select.drafts = drafts;
  if (!diffusion) return;
  if (state.chained || state.by_trees) select.join_chain(i, slot.drafts, row - i);
  select.probability = state.by_trees;
}

// It joins the context of its sequence, if that has one.
__device__ inline void append(const CycleState& state, const CycleSlot& slot, int32_t token) {
  const int context = slot.sampling.context;
  if (context < 0) return;
  const auto at = static_cast<size_t>(context) * static_cast<size_t>(state.vocabulary);
  Occurrence& occurrence = state.contexts.occurrences[at + static_cast<size_t>(token)];
  occurrence = max(occurrence, 1) + 1;
}

__device__ inline const Choice* choices_of(const CycleState& state, const PassChoices& choices,
                                           const CycleSlot& slot, bool diffusion) {
  return (takes_top(state, slot, diffusion) ? choices.tops : choices.sampled) + slot.head_row;
}

}  // namespace orthrus::cuda
