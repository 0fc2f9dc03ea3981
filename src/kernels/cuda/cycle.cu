#include "kernels/accept.h"
#include "kernels/cuda/cycle.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx.cuh"

namespace orthrus::cuda {
namespace {

constexpr int kThreads = CycleState::kMostSlots;  // each has a slot, or none
constexpr int kWarps = kThreads / 32;

__device__ inline uint64_t nanoseconds() {
  uint64_t time;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(time));
  return time;
}

// Its rows are such of which the largest logit is needed; in a draft pass, not where drafts are
// chosen in chains.
__device__ inline bool takes_top(const CycleState& state, const CycleSlot& slot, bool diffusion) {
  return slot.sampling.temperature <= 0 && !(diffusion && state.chained);
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
  __shared__ Shares of_warp[kWarps];
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
    for (int w = 0; w < kWarps; ++w) {
      if (w < warp) before.of[i] += of_warp[w].of[i];
      all.of[i] += of_warp[w].of[i];
    }
  }
  return before;
}

// The rows of each slot in the pass.
struct SlotRows {
  int first = 0, count = 0;
};

// Deals out the rows of a pass over blocks in the diffusion view, or else in the AR view, `rows` to
// this thread's slot, and says in `rows_of`, [slots], which they are.
__device__ inline void deal_out(const CycleState& state, const PassInputs& pass, bool diffusion,
                                CycleSlot* slot, int rows, SlotRows* rows_of) {
  Shares own, all;
  const int kind = rows > 0 && takes_top(state, *slot, diffusion) ? Shares::kTops : Shares::kLogits;
  if (rows > 0) {
    own.of[Shares::kSpans] = 1;
    own.of[Shares::kRows] = rows;
    own.of[kind] = rows;
    own.of[Shares::kBlockPages] = diffusion ? (rows + kTilePositions - 1) / kTilePositions : 0;
  }
  const Shares before = shares_before(own, all);
  const int s = static_cast<int>(threadIdx.x);
  if (s < state.slots) rows_of[s] = {before.of[Shares::kRows], rows};
  if (rows > 0) {
    slot->head_row = before.of[kind];
    KvSpan* const spans = diffusion ? pass.spans.diffusion : pass.spans.ar;
    spans[before.of[Shares::kSpans]] = {before.of[Shares::kRows], rows, slot->position,
                                        s * state.most_pages,
                                        diffusion ? before.of[Shares::kBlockPages] : -1};
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
  for (int s = static_cast<int>(threadIdx.x) / 32; s < state.slots; s += kWarps) {
    const SlotRows rows = rows_of[s];
    for (int i = static_cast<int>(threadIdx.x) % 32; i < rows.count; i += 32) {
      fill(s, i, rows.first + i);
    }
  }
}

// The head row of the span's row i, which stands in row `row` of the pass: in the diffusion view,
// or else in the AR view, behind i drafts.
__device__ inline void ask(const CycleState& state, const PassInputs& pass, const CycleSlot& slot,
                           int first_top, int row, int i, bool diffusion) {
  const int head_row = slot.head_row + i, drafts = diffusion ? 0 : i;
  const bool top = takes_top(state, slot, diffusion);
  pass.head_rows[top ? first_top + head_row : head_row] = row;
  if (top) return;
  SelectRow& select = pass.select[head_row];
  select = slot.sampling;
  select.position = slot.position + i + 1;
  select.last_draft = row;
  select.drafts = drafts;
  if (diffusion && state.chained) select.join_chain(i, slot.drafts, row - i);
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

__global__ void __launch_bounds__(kThreads)
    begin_draft_kernel(CycleState state, int32_t mask_token_id, PassInputs pass, int first_top) {
  __shared__ SlotRows rows[kThreads];
  wait_for_predecessor();
  begin_cycle(state, pass);
  CycleSlot* const slot = own_slot(state);
  int drafts = 0;
  if (slot != nullptr) {
    drafts = max(0, min(slot->planned, slot->left - 1));
    slot->drafted = slot->drafts = drafts;
  }
  deal_out(state, pass, /*diffusion=*/true, slot, drafts, rows);
  for_each_row(state, rows, [&](int s, int i, int row) {
    const CycleSlot& of_row = state.of_slot[s];
    pass.ids[row] = i == 0 ? of_row.anchor : mask_token_id;
    ask(state, pass, of_row, first_top, row, i, /*diffusion=*/true);
  });
}

__global__ void __launch_bounds__(kThreads)
    begin_verify_kernel(CycleState state, bool drafted, PassChoices choices, PassInputs pass,
                        int first_top) {
  __shared__ SlotRows rows[kThreads];
  wait_for_predecessor();
  if (!drafted) begin_cycle(state, pass);
  if (threadIdx.x == 0) state.clock->drafted = drafted ? nanoseconds() : state.clock->begin;
  CycleSlot* const slot = own_slot(state);
  int own_rows = 0;
  if (slot != nullptr && slot->left > 0) {
    // Drafts are kept: the verify pass chooses into the same arrays.
    const Choice* const chosen = choices_of(state, choices, *slot, /*diffusion=*/true);
    int32_t* const drafts = state.drafts + static_cast<int>(threadIdx.x) * state.block_size;
    int n = 0;  // a draft may be any token, but not none
    for (; n < slot->drafts && chosen[n].id >= 0; ++n) drafts[n] = chosen[n].id;
    slot->drafts = n;
    own_rows = n + 1;
  }
  deal_out(state, pass, /*diffusion=*/false, slot, own_rows, rows);
  for_each_row(state, rows, [&](int s, int i, int row) {
    const CycleSlot& of_row = state.of_slot[s];
    pass.ids[row] = i == 0 ? of_row.anchor : state.drafts[s * state.block_size + i - 1];
    ask(state, pass, of_row, first_top, row, i, /*diffusion=*/false);
  });
}

__global__ void __launch_bounds__(kThreads) accept_kernel(CycleState state, PassChoices choices) {
  wait_for_predecessor();
  const CycleExchange& to = exchange(state);
  const int s = static_cast<int>(threadIdx.x);
  if (CycleSlot* const slot = own_slot(state); slot != nullptr) {
    CycleOutcome outcome = {};
    if (slot->left > 0) {
      const Choice* const chosen = choices_of(state, choices, *slot, /*diffusion=*/false);
      const int32_t* const stops = state.stops + s * state.most_stops;
      int32_t* tokens = to.tokens + s * state.block_size;
      const Acceptance accepted = accept_drafts(
          state.drafts + s * state.block_size, slot->drafts, [&](int i) { return chosen[i].id; },
          [&](int32_t y) {
            *tokens++ = y;
            slot->anchor = y;
            append(state, *slot, y);
            --slot->left;
            for (int stop = 0; stop < slot->stops; ++stop) {
              if (y == stops[stop]) slot->left = 0;
            }
            return slot->left > 0;
          });
      if (accepted.failed) slot->left = 0;
      slot->position += accepted.emitted;
      outcome = {slot->drafted, slot->drafts, accepted.accepted, accepted.emitted, accepted.failed};
    }
    to.outcomes[s] = outcome;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    *to.clock = {state.clock->begin, state.clock->drafted, nanoseconds()};
    ++*state.cycle;
  }
}

}  // namespace

cudaError_t begin_draft(const CycleState& state, int32_t mask_token_id, const PassInputs& pass,
                        int first_top, cudaStream_t stream) {
  return launch(begin_draft_kernel, 1, kThreads, 0, 1, stream, state, mask_token_id, pass,
                first_top);
}

cudaError_t begin_verify(const CycleState& state, const PassChoices* drafts, const PassInputs& pass,
                         int first_top, cudaStream_t stream) {
  return launch(begin_verify_kernel, 1, kThreads, 0, 1, stream, state, drafts != nullptr,
                drafts != nullptr ? *drafts : PassChoices{}, pass, first_top);
}

cudaError_t accept(const CycleState& state, const PassChoices& choices, cudaStream_t stream) {
  return launch(accept_kernel, 1, kThreads, 0, 1, stream, state, choices);
}

}  // namespace orthrus::cuda
