#include "kernels/cuda/cycle.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx.cuh"

namespace orthrus::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;

__device__ inline uint64_t nanoseconds() {
  uint64_t time;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(time));
  return time;
}

// Its rows are such of which the largest logit is needed.
__device__ inline bool greedy(const CycleSequence& sequence) {
  return sequence.sampling.temperature <= 0;
}

__device__ inline bool takes_part(const CycleState& state, int s) {
  return state.sequences[s].planned >= 0 && state.sequences[s].left > 0;
}

__device__ inline const CycleExchange& exchange(const CycleState& state) {
  return state.exchanges[*state.cycle % CycleState::kExchanges];
}

// Every thread of the block calls it. One read of the host's memory for all, not one after another.
__device__ inline void begin_cycle(const CycleState& state) {
  const int* const plan = exchange(state).plan;
  for (int s = threadIdx.x; s < state.count; s += kThreads) {
    state.sequences[s].planned = plan[s];
    state.sequences[s].drafted = state.sequences[s].drafts = 0;
  }
  if (threadIdx.x == 0) state.clock->begin = nanoseconds();
  __syncthreads();
}

// Rows of the LM head of a pass under construction.
struct HeadCounts {
  int logits = 0, tops = 0;

  __device__ int take(const CycleSequence& sequence, int rows) {
    int& group = greedy(sequence) ? tops : logits;
    const int first = group;
    group += rows;
    return first;
  }
};

// The head row of the span's row i, which stands in row `row` of the pass behind `drafts` drafts.
__device__ inline void ask(const PassInputs& pass, const CycleSequence& sequence, int first_top,
                           int row, int i, int drafts) {
  const int head_row = sequence.head_row + i;
  pass.head_rows[greedy(sequence) ? first_top + head_row : head_row] = row;
  if (greedy(sequence)) return;
  SelectRow& select = pass.select[head_row];
  select = sequence.sampling;
  select.position = sequence.position + i + 1;
  select.first_draft = row - drafts + 1;
  select.drafts = drafts;
}

// It joins the context of its sequence, if that has one.
__device__ inline void append(const CycleState& state, const CycleSequence& sequence,
                              int32_t token) {
  const int context = sequence.sampling.context;
  if (context < 0) return;
  const auto at = static_cast<size_t>(context) * static_cast<size_t>(state.vocabulary);
  Occurrence& occurrence = state.contexts.occurrences[at + static_cast<size_t>(token)];
  occurrence = max(occurrence, 1) + 1;
}

__device__ inline const Choice* of_sequence(const PassChoices& choices,
                                            const CycleSequence& sequence) {
  return (greedy(sequence) ? choices.tops : choices.sampled) + sequence.head_row;
}

// Thread 0 deals out rows, then a warp a sequence fills them.
__global__ void __launch_bounds__(kThreads)
    begin_draft_kernel(CycleState state, int32_t mask_token_id, PassInputs pass, int first_top) {
  wait_for_predecessor();
  begin_cycle(state);
  if (threadIdx.x == 0) {
    PassCounts counts = {};
    HeadCounts head;
    int block_pages = 0;
    for (int s = 0; s < state.count; ++s) {
      CycleSequence& sequence = state.sequences[s];
      if (!takes_part(state, s)) continue;
      sequence.drafted = sequence.drafts = min(sequence.planned, sequence.left - 1);
      if (sequence.drafts == 0) continue;
      sequence.head_row = head.take(sequence, sequence.drafts);
      pass.spans.diffusion[counts.spans.diffusion++] = {counts.rows.diffusion, sequence.drafts,
                                                        sequence.position, sequence.first_page,
                                                        block_pages};
      counts.rows.diffusion += sequence.drafts;
      block_pages += (sequence.drafts + kTilePositions - 1) / kTilePositions;
    }
    counts.all_rows = counts.rows.diffusion;
    counts.logits = head.logits, counts.tops = head.tops;
    *pass.counts = counts;
  }
  __syncthreads();
  int span = 0;
  for (int s = 0; s < state.count; ++s) {
    const CycleSequence& sequence = state.sequences[s];
    if (sequence.drafts == 0) continue;
    const int first_row = pass.spans.diffusion[span++].first_row;
    if (s % kWarps != threadIdx.x / 32) continue;
    for (int i = threadIdx.x % 32; i < sequence.drafts; i += 32) {
      pass.ids[first_row + i] = i == 0 ? sequence.anchor : mask_token_id;
      ask(pass, sequence, first_top, first_row + i, i, 0);
    }
  }
}

__global__ void __launch_bounds__(kThreads)
    begin_verify_kernel(CycleState state, bool drafted, PassChoices choices, PassInputs pass,
                        int first_top) {
  wait_for_predecessor();
  if (!drafted) begin_cycle(state);
  // Drafts are kept: the verify pass chooses into the same arrays.
  for (int s = threadIdx.x; s < state.count; s += kThreads) {
    CycleSequence& sequence = state.sequences[s];
    const Choice* const chosen = of_sequence(choices, sequence);
    int n = 0;  // a draft may be any token, but not none
    for (; n < sequence.drafts && chosen[n].id >= 0; ++n) {
      state.drafts[s * state.block_size + n] = chosen[n].id;
    }
    sequence.drafts = n;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    state.clock->drafted = drafted ? nanoseconds() : state.clock->begin;
    PassCounts counts = {};
    HeadCounts head;
    for (int s = 0; s < state.count; ++s) {
      if (!takes_part(state, s)) continue;
      CycleSequence& sequence = state.sequences[s];
      const int rows = sequence.drafts + 1;
      sequence.head_row = head.take(sequence, rows);
      pass.spans.ar[counts.spans.ar++] = {counts.rows.ar, rows, sequence.position,
                                          sequence.first_page, -1};
      counts.rows.ar += rows;
    }
    counts.all_rows = counts.rows.ar;
    counts.logits = head.logits, counts.tops = head.tops;
    *pass.counts = counts;
  }
  __syncthreads();
  int span = 0;
  for (int s = 0; s < state.count; ++s) {
    if (!takes_part(state, s)) continue;
    const int first_row = pass.spans.ar[span++].first_row;
    if (s % kWarps != threadIdx.x / 32) continue;
    const CycleSequence& sequence = state.sequences[s];
    for (int i = threadIdx.x % 32; i <= sequence.drafts; i += 32) {
      pass.ids[first_row + i] =
          i == 0 ? sequence.anchor : state.drafts[s * state.block_size + i - 1];
      ask(pass, sequence, first_top, first_row + i, i, i);
    }
  }
}

// A thread a sequence.
__global__ void __launch_bounds__(kThreads) accept_kernel(CycleState state, PassChoices choices) {
  wait_for_predecessor();
  const CycleExchange& to = exchange(state);
  for (int s = threadIdx.x; s < state.count; s += kThreads) {
    if (!takes_part(state, s)) {
      to.outcomes[s] = {};
      continue;
    }
    CycleSequence& sequence = state.sequences[s];
    const Choice* const chosen = of_sequence(choices, sequence);
    const int32_t* const drafts = state.drafts + s * state.block_size;
    int32_t* const tokens = to.tokens + s * state.block_size;
    CycleOutcome outcome = {.drafted = sequence.drafted, .verified = sequence.drafts};
    for (int i = 0; i <= sequence.drafts && sequence.left > 0; ++i) {
      const int32_t y = chosen[i].id;
      if (y < 0) {
        // What was chosen before stands, as in plain decoding, which fails one step later.
        if (i == 0) outcome.failed = true, sequence.left = 0;
        break;
      }
      tokens[outcome.tokens++] = y;
      sequence.anchor = y;
      append(state, sequence, y);
      --sequence.left;
      for (int stop = 0; stop < sequence.stops; ++stop) {
        if (y == state.stops[sequence.first_stop + stop]) sequence.left = 0;
      }
      if (i == sequence.drafts || y != drafts[i]) break;
      ++outcome.accepted;
    }
    sequence.position += outcome.tokens;
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
