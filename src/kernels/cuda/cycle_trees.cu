// Cycles whose drafts are trees: a warp grows a slot's tree and walks it.
#include "kernels/accept.h"
#include "kernels/cuda/cycle_slots.cuh"
#include "kernels/cuda/grow_tree.h"
#include "kernels/cuda/launch.h"

namespace orthrus::cuda {
namespace {

static_assert(kTilePositions == kPageSize);

constexpr int kKeepBlocks = 2;  // of a layer
constexpr int kKeepThreads = 256;

// This block's slot, if its sequence takes part in the cycle.
__device__ inline CycleSlot* slot_of_block(const CycleState& state) {
  CycleSlot* const slot = &state.of_slot[blockIdx.x];
  return slot->planned < 0 ? nullptr : slot;
}

// In memory of the host, which is far away: all of it at once.
__device__ inline void fetch(const TreePlan& from, TreePlan& to) {
  constexpr int kWords = sizeof(TreePlan) / sizeof(uint32_t);
  static_assert(kWords == 32);
  const int lane = static_cast<int>(threadIdx.x);
  reinterpret_cast<uint32_t*>(&to)[lane] = reinterpret_cast<const uint32_t*>(&from)[lane];
  __syncwarp();
}

__global__ void __launch_bounds__(Lanes::kCount)
    grow_trees_kernel(CycleState state, const DraftCandidates* candidates,
                      const CandidateTerms* terms) {
  __shared__ TreeWork work;
  __shared__ TreePlan plan;
  wait_for_predecessor();
  const int s = static_cast<int>(blockIdx.x);
  const CycleSlot* const slot = slot_of_block(state);
  if (slot == nullptr) return;
  SlotTree& tree = state.trees.of_slot[s];
  if (slot->left <= 0) {
    if (threadIdx.x == 0) tree.rows = tree.chains = 0;
    return;
  }
  const CycleExchange& to = exchange(state);
  fetch(to.trees[s], plan);
  TreeTables tables = state.trees.tables;
  tables.own = s * state.most_pages;
  TreeGrowth growth(candidates + slot->head_row,
                    terms == nullptr ? nullptr : terms + slot->head_row, slot->drafts,
                    slot->sampling.greedy, slot->position, plan, work);
  growth.grow(slot->anchor);
  growth.tell_nodes(to.nodes + s * kMostTreeNodes);
  growth.lay_out(tables, tree);
}

__global__ void __launch_bounds__(kSlotThreads)
    begin_tree_verify_kernel(CycleState state, PassInputs pass, int first_top) {
  __shared__ SlotRows rows[kSlotThreads];
  wait_for_predecessor();
  if (threadIdx.x == 0) state.clock->drafted = nanoseconds(), *state.trees.kept_count = 0;
  CycleSlot* const slot = own_slot(state);
  int own_rows = 0, trunk_rows = 0, branches = 0;
  if (slot != nullptr && slot->left > 0) {
    const SlotTree& tree = state.trees.of_slot[threadIdx.x];
    own_rows = tree.rows, trunk_rows = tree.chain[0].rows, branches = tree.chains - 1;
    slot->drafts = own_rows - 1;
  }
  deal_out(state, pass, /*diffusion=*/false, slot, own_rows, trunk_rows, branches, rows);
  for_each_row(state, rows, [&](int s, int i, int row) {
    const SlotTree& tree = state.trees.of_slot[s];
    pass.ids[row] = tree.tokens[i];
    pass.parents[row] = row - i + tree.parents[i];
    const int copies = state.trees.tables.copies_of(tree.first_page, tree.copies_room, i);
    pass.copies[row] = {copies, tree.copies[i]};
    ask(state, pass, state.of_slot[s], first_top, row, i, tree.depths[i], /*diffusion=*/false);
  });
  // Branches, a warp a slot.
  for (int s = static_cast<int>(threadIdx.x) / 32; s < state.slots; s += kSlotWarps) {
    if (rows[s].count == 0) continue;
    const SlotTree& tree = state.trees.of_slot[s];
    const int known = state.of_slot[s].position, first_page = known / kTilePositions;
    for (int c = 1 + static_cast<int>(threadIdx.x) % 32; c < tree.chains; c += 32) {
      const TreeChain& branch = tree.chain[c];
      const int position = known + branch.depth;
      const bool copied = position / kTilePositions == first_page && known % kTilePositions > 0;
      pass.spans.ar[rows[s].span + c] = {
          .first_row = rows[s].first + branch.first_row,
          .rows = branch.rows,
          .first_position = position,
          .first_page = state.trees.tables.of_branch(branch),
          .behind = branch.depth,
          .copied_page = copied ? pass.page_table[s * state.most_pages + first_page] : -1};
    }
  }
}

// The row of draft y behind a row of the tree. A warp's function.
__device__ inline int child_of(const SlotTree& tree, int row, int32_t y) {
  for (int first = row + 1; first < tree.rows; first += 32) {
    const int own = first + static_cast<int>(threadIdx.x);
    const bool is = own < tree.rows && tree.parents[own] == row && tree.tokens[own] == y;
    if (const unsigned found = __ballot_sync(~0u, is)) return first + __ffs(found) - 1;
  }
  return -1;
}

// What an accepted row of a branch has is to be kept.
__device__ inline void keep(const CycleState& state, const SlotTree& tree, int s, int position,
                            int row) {
  const int chain = tree.chain_of[row];
  if (chain == 0) return;
  const int p = position + tree.depths[row], page = p / kTilePositions;
  const TreeTables& tables = state.trees.tables;
  state.trees.kept[atomicAdd(state.trees.kept_count, 1)] = {
      tables.entries[tables.of_branch(tree.chain[chain]) + page],
      tables.entries[s * state.most_pages + page], p % kTilePositions};
}

__global__ void __launch_bounds__(Lanes::kCount)
    accept_paths_kernel(CycleState state, PassChoices choices) {
  wait_for_predecessor();
  CycleSlot* const slot = slot_of_block(state);
  if (slot == nullptr) return;
  const int s = static_cast<int>(blockIdx.x), lane = static_cast<int>(threadIdx.x);
  const CycleExchange& to = exchange(state);
  CycleOutcome outcome = {};
  if (const int before = slot->left; before > 0) {
    const SlotTree& tree = state.trees.of_slot[s];
    const Choice* const chosen = choices_of(state, choices, *slot, /*diffusion=*/false);
    const int32_t* const stops = state.stops + s * state.most_stops;
    int32_t* const tokens = to.tokens + s * state.block_size;
    const int position = slot->position, count_of_stops = slot->stops;
    int left = before, emitted = 0;
    int32_t anchor = slot->anchor;
    __syncwarp();  // all have read the slot
    const Acceptance accepted = accept_path([&](int row) { return chosen[row].id; },
                                            [&](int row, int32_t y) {
                                              const int child = child_of(tree, row, y);
                                              if (child >= 0 && lane == 0)
                                                keep(state, tree, s, position, child);
                                              return child;
                                            },
                                            [&](int32_t y) {
                                              anchor = y;
                                              if (lane == 0) {
                                                tokens[emitted] = y;
                                                append(state, *slot, y);
                                              }
                                              ++emitted, --left;
                                              bool stopped = false;
                                              for (int i = lane; i < count_of_stops; i += 32)
                                                stopped |= y == stops[i];
                                              if (__any_sync(~0u, stopped)) left = 0;
                                              return left > 0;
                                            });
    if (accepted.failed) left = 0;
    outcome = {slot->drafted, slot->drafts, accepted.accepted, accepted.emitted, accepted.failed};
    __syncwarp();
    if (lane == 0) slot->anchor = anchor, slot->left = left, slot->position = position + emitted;
  }
  if (lane == 0) to.outcomes[s] = outcome;
}

// Blocks share a layer. Of a tile, a slot is a run of its keys and one of its values.
__global__ void __launch_bounds__(kKeepThreads)
    keep_rows_kernel(CycleState state, KvPages cache, Heads heads, size_t layer_stride) {
  wait_for_predecessor();
  const int layer = static_cast<int>(blockIdx.x) / kKeepBlocks;
  const int block = static_cast<int>(blockIdx.x) % kKeepBlocks;
  __nv_bfloat16* const data = cache.data + static_cast<size_t>(layer) * layer_stride;
  // In pieces of 16 bytes.
  const int run = heads.head_dim / 8, of_row = 2 * heads.kv_heads * run;
  const int pieces = *state.trees.kept_count * of_row;
  for (int i = block * kKeepThreads + static_cast<int>(threadIdx.x); i < pieces;
       i += kKeepBlocks * kKeepThreads) {
    const KeptRow row = state.trees.kept[i / of_row];
    const int piece = i % of_row;
    const int at = piece / run * kTilePositions * run + row.slot * run + piece % run;
    const auto page = [&](int number) {
      return reinterpret_cast<uint4*>(data + static_cast<size_t>(number) * cache.page_stride);
    };
    page(row.to)[at] = page(row.from)[at];
  }
  if (blockIdx.x == 0 && threadIdx.x == 0) {
    *exchange(state).clock = {state.clock->begin, state.clock->drafted, nanoseconds()};
    ++*state.cycle;
  }
}

}  // namespace

cudaError_t grow_trees(const CycleState& state, const DraftCandidates* candidates,
                       const CandidateTerms* terms, cudaStream_t stream) {
  return launch(grow_trees_kernel, state.slots, Lanes::kCount, 0, 1, stream, state, candidates,
                terms);
}

cudaError_t begin_tree_verify(const CycleState& state, const PassInputs& pass, int first_top,
                              cudaStream_t stream) {
  return launch(begin_tree_verify_kernel, 1, kSlotThreads, 0, 1, stream, state, pass, first_top);
}

cudaError_t accept_paths(const CycleState& state, const PassChoices& choices, const KvPages& cache,
                         const Heads& heads, int layers, size_t layer_stride, cudaStream_t stream) {
  const cudaError_t error =
      launch(accept_paths_kernel, state.slots, Lanes::kCount, 0, 1, stream, state, choices);
  if (error != cudaSuccess) return error;
  return launch(keep_rows_kernel, layers * kKeepBlocks, kKeepThreads, 0, 1, stream, state, cache,
                heads, layer_stride);
}

}  // namespace orthrus::cuda
