#include "backends/cuda/cuda_cycles.h"

#include <algorithm>
#include <new>

#include "backends/cuda/input_memory.h"

namespace orthrus::cuda {
namespace {

// Fewer rows take as long, and graphs of fewer sizes are soon all captured.
constexpr int kLeastRows = 16;
constexpr int kMostStops = 64;

size_t exchange_bytes(const CycleState& state) {
  const auto slots = static_cast<size_t>(state.slots);
  return slots * (sizeof(TreePlan) + sizeof(SlotPlan) + sizeof(CycleOutcome) +
                  static_cast<size_t>(state.block_size) * sizeof(int32_t) +
                  kMostTreeNodes * sizeof(TreeNode)) +
         sizeof(CycleClock);
}

CycleExchange exchange_in(std::byte* memory, const CycleState& state) {
  CycleExchange exchange;
  exchange.trees = reinterpret_cast<TreePlan*>(memory);
  exchange.plan = reinterpret_cast<SlotPlan*>(exchange.trees + state.slots);
  exchange.clock = reinterpret_cast<CycleClock*>(exchange.plan + state.slots);
  exchange.outcomes = reinterpret_cast<CycleOutcome*>(exchange.clock + 1);
  exchange.tokens = reinterpret_cast<int32_t*>(exchange.outcomes + state.slots);
  exchange.nodes = reinterpret_cast<TreeNode*>(exchange.tokens + state.slots * state.block_size);
  return exchange;
}

// Rows that the host expects of a sequence's verify span, at most.
int verify_rows(const CycleRequest& request) {
  const int nodes = request.drafts > 0 && request.nodes > 0 ? request.nodes : request.drafts;
  return 1 + nodes;
}

double seconds(uint64_t begin, uint64_t end) {
  return end > begin ? static_cast<double>(end - begin) * 1e-9 : 0;
}

// In the stream's order. Memory that is not pinned is copied before the call returns.
template <typename T>
void upload(T* to, const T* from, size_t count, cudaStream_t stream) {
  if (count == 0) return;
  require(cudaMemcpyAsync(to, from, count * sizeof(T), cudaMemcpyHostToDevice, stream));
}

}  // namespace

CudaCycles::CudaCycles(PassKernels& network, int ordinal) : network_(&network), ordinal_(ordinal) {
  const ModelConfig& config = network.config();
  state_.slots = CycleState::kMostSlots;
  state_.block_size = std::max(config.block_size, 1);
  state_.most_stops = kMostStops;
  state_.most_pages = static_cast<int>(std::min(
      static_cast<size_t>(pages_for(config.max_position_embeddings)), network.memory().pages()));
  state_.vocabulary = config.vocab_size;
  state_.chained = config.pair_rank > 0;
  const auto slots = static_cast<size_t>(state_.slots);
  of_slot_ = DeviceArray<CycleSlot>(slots);
  stops_ = DeviceArray<int32_t>(slots * kMostStops);
  drafts_ = DeviceArray<int32_t>(slots * static_cast<size_t>(state_.block_size));
  const size_t of_branch = static_cast<size_t>(state_.most_pages) + kMostTreeNodes;
  const size_t of_sequences = slots * static_cast<size_t>(state_.most_pages);
  page_table_ = DeviceArray<int>(of_sequences + kBranchPages * of_branch);
  trees_ = DeviceArray<SlotTree>(slots);
  kept_ = DeviceArray<KeptRow>(slots * static_cast<size_t>(state_.block_size));
  kept_count_ = DeviceArray<int>(1);
  clock_ = DeviceArray<CycleClock>(1);
  cycle_ = DeviceArray<uint32_t>(1);
  upload(cycle_.data(), &CycleState::kFirstCycle, 1, network.stream());
  state_.of_slot = of_slot_.data();
  state_.stops = stops_.data();
  state_.drafts = drafts_.data();
  state_.clock = clock_.data();
  state_.cycle = cycle_.data();
  const int branches = state_.slots * state_.most_pages;
  state_.trees = {.of_slot = trees_.data(),
                  .tables = {.entries = page_table_.data(),
                             .branches = branches,
                             .copies = branches + kBranchPages * state_.most_pages,
                             .most_pages = state_.most_pages,
                             .memory_page = network.memory().first_branch_page()},
                  .kept = kept_.data(),
                  .kept_count = kept_count_.data()};
  tenants_.resize(slots);
  landed_.resize(slots);
  for (size_t i = 0; i < flights_.size(); ++i) {
    Flight& flight = flights_[i];
    flight.memory = PinnedArray<std::byte>(exchange_bytes(state_));
    flight.exchange = exchange_in(flight.memory.data(), state_);
    flight.parts.resize(slots);
    state_.exchanges[i] = flight.exchange;
  }
}

CudaCycles::~CudaCycles() {
  cudaStreamSynchronize(network_->stream());  // what is in flight lands in memory that goes now
}

bool CudaCycles::takes(const CycleStart& start) const {
  return start.stop_token_ids.size() <= kMostStops && start.block_size <= state_.block_size &&
         pages_for(start.sequence->length() + start.most_tokens) <= state_.most_pages;
}

Status CudaCycles::join(int slot, const CycleStart& start) try {
  require(cudaSetDevice(ordinal_));
  const cudaStream_t stream = network_->stream();
  Tenant tenant{.number = ++joined_,
                .sequence = start.sequence,
                .greedy = start.sampling->greedy() && start.context == nullptr,
                .position = start.sequence->length(),
                .end = start.sequence->length() + start.most_tokens};
  if (start.context != nullptr) {
    tenant.context = free_context();
    const auto place = static_cast<size_t>(tenant.context);
    if (contexts_.reserve(place + 1, static_cast<size_t>(state_.vocabulary), stream)) {
      graphs_.clear();
      state_.contexts = contexts_.contexts();
    }
    contexts_.upload(place, *start.context, stream);
  }
  const CycleSlot on_device{.position = tenant.position,
                            .anchor = start.anchor,
                            .left = start.most_tokens,
                            .stops = static_cast<int>(start.stop_token_ids.size()),
                            .sampling = select_row(*start.sampling, tenant.context)};
  upload(of_slot_.data() + slot, &on_device, 1, stream);
  upload(stops_.data() + slot * kMostStops, start.stop_token_ids.data(),
         start.stop_token_ids.size(), stream);
  tenants_[static_cast<size_t>(slot)] = tenant;
  return Status::kOk;
} catch (const std::bad_alloc&) {
  return Status::kOutOfMemory;
}

int CudaCycles::free_context() const {
  int place = 0;
  const auto taken = [&](const Tenant& tenant) { return tenant.context == place; };
  while (std::any_of(tenants_.begin(), tenants_.end(), taken)) ++place;
  return place;
}

// Where the sequence may be, at most, once the cycles in flight and one of so many drafts have
// landed.
int CudaCycles::most_position(int slot, int drafts) const {
  const auto s = static_cast<size_t>(slot);
  const Tenant& tenant = tenants_[s];
  int most = tenant.position + drafts + 1;
  for (uint32_t cycle = finished_; cycle != started_; ++cycle) {
    const auto& part = flights_[cycle % kMostInFlight].parts[s];
    if (part.tenant == tenant.number) most += part.drafts + 1;
  }
  return std::min(most, tenant.end);
}

CudaCycles::Shape CudaCycles::shape_of(std::span<const CycleRequest> by_slot) const {
  Shape shape;
  int longest = 0, sequences = 0;
  const bool trees = std::ranges::any_of(
      by_slot, [](const CycleRequest& r) { return r.drafts > 0 && r.nodes > 0; });
  const bool chained = state_.chained && !trees;
  for (size_t s = 0; s < by_slot.size(); ++s) {
    const int drafts = by_slot[s].drafts;
    if (drafts < 0) continue;
    ++sequences;
    const int rows = verify_rows(by_slot[s]);
    const Tenant& tenant = tenants_[s];
    const bool has_context = tenant.context >= 0;
    shape.draft.rows.diffusion += drafts;
    const bool as_they_are = !chained && !trees;
    (tenant.greedy && as_they_are ? shape.draft.tops : shape.draft.logits) += drafts;
    shape.draft.sampled = shape.draft.sampled || (!tenant.greedy && as_they_are && drafts > 0);
    shape.draft.chained = shape.draft.chained || (chained && drafts > 0);
    shape.draft.adjusted = shape.draft.adjusted || (has_context && drafts > 0);
    shape.verify.rows.ar += rows;
    (tenant.greedy ? shape.verify.tops : shape.verify.logits) += rows;
    shape.verify.sampled = shape.verify.sampled || !tenant.greedy;
    shape.verify.adjusted = shape.verify.adjusted || has_context;
    longest = std::max(longest, most_position(static_cast<int>(s), drafts));
  }
  shape.draft.offered = shape.verify.branched = trees;
  shape.draft.alone = sequences == 1;
  shape.verify.alone = sequences == 1 && !trees;
  shape.draft.round_up(longest, kLeastRows);
  shape.verify.round_up(longest, kLeastRows);
  return shape;
}

void CudaCycles::make_room(const Shape& shape, std::span<const CycleRequest> by_slot) {
  int block_pages = 0;
  for (const CycleRequest& request : by_slot) block_pages += pages_for(std::max(request.drafts, 0));
  network_->reserve(shape.draft, bucket_of(block_pages));
  network_->reserve(shape.verify, 0);
  if (generation_ != network_->generation()) graphs_.clear();
  generation_ = network_->generation();
  const int rows = std::max({shape.draft.all_rows(), shape.draft.head_rows(),
                             shape.verify.all_rows(), shape.verify.head_rows(), kMostGraphRows});
  if (rows <= input_rows_) return;
  require(cudaStreamSynchronize(network_->stream()));
  graphs_.clear();
  input_rows_ = 0;
  input_memory_ = {};
  input_memory_ = DeviceArray<std::byte>(input_bytes(rows));
  inputs_ = inputs_in(input_memory_.data(), rows);
  inputs_.page_table = page_table_.data();
  input_rows_ = rows;
}

Status CudaCycles::start(std::span<const CycleRequest> by_slot) try {
  require(cudaSetDevice(ordinal_));
  const Shape shape = shape_of(by_slot);
  make_room(shape, by_slot);
  const int graphs_before = graphs_.captured();
  cudaGraphExec_t graph = nullptr;
  if (shape.verify.all_rows() <= kMostGraphRows) {
    graph = graphs_.of(shape, network_->stream(), [&] { enqueue(shape); });
  }
  Flight& flight = this->flight(started_);
  flight.follows = in_flight() > 0 && graphs_.captured() == graphs_before &&
                   cudaEventQuery(this->flight(started_ - 1).landed) == cudaErrorNotReady;
  plan(by_slot, flight);
  if (graph != nullptr) {
    require(cudaGraphLaunch(graph, network_->stream()));
  } else {
    enqueue(shape);
  }
  require(cudaEventRecord(flight.landed, network_->stream()));
  for (size_t s = 0; s < by_slot.size(); ++s) {
    if (by_slot[s].drafts < 0) continue;
    const int pages = pages_for(most_position(static_cast<int>(s), by_slot[s].drafts));
    tenants_[s].pages = std::max(tenants_[s].pages, pages);
  }
  ++started_;
  return Status::kOk;
} catch (const std::bad_alloc&) {
  return Status::kOutOfMemory;
}

// What the device is told of the cycle. New pages go with the plan; where there are many, before
// it.
void CudaCycles::plan(std::span<const CycleRequest> by_slot, Flight& flight) {
  for (size_t s = 0; s < by_slot.size(); ++s) {
    SlotPlan& plan = flight.exchange.plan[s];
    plan = {};
    flight.parts[s] = {};
    const int drafts = by_slot[s].drafts;
    if (drafts < 0) continue;
    const Tenant& tenant = tenants_[s];
    const int pages = pages_for(most_position(static_cast<int>(s), drafts));
    plan.drafts = drafts;
    plan.first_page = std::max(pages - SlotPlan::kMostPages, tenant.pages);
    if (plan.first_page > tenant.pages)
      tell_pages(static_cast<int>(s), tenant.pages, plan.first_page);
    for (int i = plan.first_page; i < pages; ++i) {
      plan.pages[i - plan.first_page] = network_->memory().page_at(tenant.sequence->pages()[i]);
    }
    flight.parts[s] = {tenant.number, drafts, drafts > 0 && by_slot[s].nodes > 0};
  }
  plan_trees(by_slot, flight.exchange.trees);
}

// The pages for branches are shared out by the trees' nodes; a chain is a tree without branches.
void CudaCycles::plan_trees(std::span<const CycleRequest> by_slot, TreePlan* plans) {
  int all_nodes = 0;
  for (const CycleRequest& request : by_slot) {
    if (request.drafts > 0) all_nodes += request.nodes;
  }
  if (all_nodes == 0) return;
  int nodes_before = 0;
  const auto page = [&] { return kBranchPages * nodes_before / all_nodes; };
  for (size_t s = 0; s < by_slot.size(); ++s) {
    const CycleRequest& request = by_slot[s];
    if (request.drafts < 0) continue;
    TreePlan& plan = plans[s];
    plan = {.nodes = verify_rows(request) - 1, .first_page = page()};
    if (request.drafts > 0) nodes_before += request.nodes;
    plan.pages = page() - plan.first_page;
    if (request.acceptances == nullptr) continue;
    plan.calibrated = 1;
    plan.acceptances = *request.acceptances;
  }
}

// Pages [first, end) of the sequence's table.
void CudaCycles::tell_pages(int slot, int first, int end) {
  std::vector<int> pages;
  for (int i = first; i < end; ++i) {
    const std::byte* const page = tenants_[static_cast<size_t>(slot)].sequence->pages()[i];
    pages.push_back(network_->memory().page_at(page));
  }
  const auto at = static_cast<size_t>(slot) * static_cast<size_t>(state_.most_pages);
  upload(page_table_.data() + at + first, pages.data(), pages.size(), network_->stream());
}

void CudaCycles::enqueue_with_trees(const Shape& shape) {
  const cudaStream_t stream = network_->stream();
  const ModelConfig& config = network_->config();
  const KvMemory& memory = network_->memory();
  CycleState state = state_;
  state.by_trees = true;
  state.chained = false;
  require(begin_draft(state, config.mask_token_id, inputs_, shape.draft.logits, stream));
  network_->enqueue(shape.draft, inputs_, state.contexts);
  require(grow_trees(state, network_->candidates(),
                     config.pair_rank > 0 ? network_->terms() : nullptr, stream));
  require(begin_tree_verify(state, inputs_, shape.verify.logits, stream));
  network_->enqueue(shape.verify, inputs_, state.contexts);
  require(accept_paths(state, network_->choices(), memory.of_layer(0), network_->heads(),
                       config.num_hidden_layers, memory.layer_stride(), stream));
}

void CudaCycles::enqueue(const Shape& shape) {
  if (shape.by_trees()) return enqueue_with_trees(shape);
  const cudaStream_t stream = network_->stream();
  const PassChoices choices = network_->choices();
  const bool drafted = shape.draft.all_rows() > 0;
  if (drafted) {
    require(
        begin_draft(state_, network_->config().mask_token_id, inputs_, shape.draft.logits, stream));
    network_->enqueue(shape.draft, inputs_, state_.contexts);
  }
  require(begin_verify(state_, drafted ? &choices : nullptr, inputs_, shape.verify.logits, stream));
  network_->enqueue(shape.verify, inputs_, state_.contexts);
  require(accept(state_, choices, stream));
}

CycleTimes CudaCycles::finish() {
  Flight& flight = this->flight(finished_);
  require(cudaEventSynchronize(flight.landed));
  ++finished_;
  const CycleClock& clock = *flight.exchange.clock;
  const double wait = flight.follows ? seconds(last_end_, clock.begin) : 0;
  last_end_ = clock.end;
  CycleTimes times{.draft = seconds(clock.begin, clock.drafted),
                   .verify = wait + seconds(clock.drafted, clock.end)};
  for (size_t s = 0; s < landed_.size(); ++s) {
    const auto& [tenant, drafts, tree] = flight.parts[s];
    landed_[s] = {.tenant = tenant};
    if (tenant == 0) continue;
    const CycleOutcome& outcome = flight.exchange.outcomes[s];
    const int32_t* const tokens =
        flight.exchange.tokens + s * static_cast<size_t>(state_.block_size);
    landed_[s].result = {.status = outcome.failed ? Status::kNonFiniteLogits : Status::kOk,
                         .drafted = outcome.drafted,
                         .verified = outcome.verified,
                         .accepted = outcome.accepted,
                         .tokens = {tokens, static_cast<size_t>(outcome.tokens)}};
    if (tree) {
      landed_[s].result.tree = {flight.exchange.nodes + s * kMostTreeNodes,
                                static_cast<size_t>(outcome.verified)};
    }
    if (tenants_[s].number == tenant) tenants_[s].position += outcome.tokens;
    times.draft_rows += outcome.drafted;
    times.verify_rows += outcome.tokens > 0 || outcome.failed ? outcome.verified + 1 : 0;
  }
  return times;
}

const CycleResult* CudaCycles::result(int slot) const {
  const Landed& landed = landed_[static_cast<size_t>(slot)];
  const bool took_part =
      landed.tenant != 0 && landed.tenant == tenants_[static_cast<size_t>(slot)].number;
  return took_part ? &landed.result : nullptr;
}

void CudaCycles::drain() {
  require(cudaStreamSynchronize(network_->stream()));
  finished_ = started_;
  std::fill(landed_.begin(), landed_.end(), Landed{});
}

}  // namespace orthrus::cuda
