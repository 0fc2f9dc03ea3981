#include "kernels/accept.h"
#include "kernels/cuda/cycle_slots.cuh"
#include "kernels/cuda/launch.h"

namespace orthrus::cuda {
namespace {

__global__ void __launch_bounds__(kSlotThreads)
    begin_draft_kernel(CycleState state, int32_t mask_token_id, PassInputs pass, int first_top) {
  __shared__ SlotRows rows[kSlotThreads];
  wait_for_predecessor();
  begin_cycle(state, pass);
  CycleSlot* const slot = own_slot(state);
  int drafts = 0;
  if (slot != nullptr) {
    drafts = max(0, min(slot->planned, slot->left - 1));
    slot->drafted = slot->drafts = drafts;
  }
  deal_out(state, pass, /*diffusion=*/true, slot, drafts, drafts, 0, rows);
  for_each_row(state, rows, [&](int s, int i, int row) {
    const CycleSlot& of_row = state.of_slot[s];
    pass.ids[row] = i == 0 ? of_row.anchor : mask_token_id;
    ask(state, pass, of_row, first_top, row, i, i, /*diffusion=*/true);
  });
}

__global__ void __launch_bounds__(kSlotThreads)
    begin_verify_kernel(CycleState state, bool drafted, PassChoices choices, PassInputs pass,
                        int first_top) {
  __shared__ SlotRows rows[kSlotThreads];
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
  deal_out(state, pass, /*diffusion=*/false, slot, own_rows, own_rows, 0, rows);
  for_each_row(state, rows, [&](int s, int i, int row) {
    const CycleSlot& of_row = state.of_slot[s];
    pass.ids[row] = i == 0 ? of_row.anchor : state.drafts[s * state.block_size + i - 1];
    ask(state, pass, of_row, first_top, row, i, i, /*diffusion=*/false);
  });
}

__global__ void __launch_bounds__(kSlotThreads)
    accept_kernel(CycleState state, PassChoices choices) {
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
  return launch(begin_draft_kernel, 1, kSlotThreads, 0, 1, stream, state, mask_token_id, pass,
                first_top);
}

cudaError_t begin_verify(const CycleState& state, const PassChoices* drafts, const PassInputs& pass,
                         int first_top, cudaStream_t stream) {
  return launch(begin_verify_kernel, 1, kSlotThreads, 0, 1, stream, state, drafts != nullptr,
                drafts != nullptr ? *drafts : PassChoices{}, pass, first_top);
}

cudaError_t accept(const CycleState& state, const PassChoices& choices, cudaStream_t stream) {
  return launch(accept_kernel, 1, kSlotThreads, 0, 1, stream, state, choices);
}

}  // namespace orthrus::cuda
