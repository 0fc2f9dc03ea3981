#include "backends/cuda/cuda_cycles.h"

#include <algorithm>
#include <new>

namespace orthrus::cuda {
namespace {

// Fewer rows take as long, and graphs of fewer sizes are soon all captured.
constexpr int kLeastRows = 16;

size_t exchange_bytes(size_t sequences, size_t block_size) {
  return sizeof(CycleClock) +
         sequences * (sizeof(CycleOutcome) + sizeof(int) + block_size * sizeof(int32_t));
}

CycleExchange exchange_in(std::byte* memory, int sequences) {
  CycleExchange exchange;
  exchange.clock = reinterpret_cast<CycleClock*>(memory);
  exchange.outcomes = reinterpret_cast<CycleOutcome*>(exchange.clock + 1);
  exchange.plan = reinterpret_cast<int*>(exchange.outcomes + sequences);
  exchange.tokens = reinterpret_cast<int32_t*>(exchange.plan + sequences);
  return exchange;
}

double seconds(uint64_t begin, uint64_t end) {
  return end > begin ? static_cast<double>(end - begin) * 1e-9 : 0;
}

}  // namespace

CudaCycles::CudaCycles(PassKernels& network, int ordinal) : network_(&network), ordinal_(ordinal) {}

CudaCycles::~CudaCycles() {
  cudaStreamSynchronize(network_->stream());  // what is in flight lands in memory that goes now
}

Status CudaCycles::begin(std::span<const CycleStart> sequences) try {
  require(cudaSetDevice(ordinal_));
  sequences_.assign(sequences.begin(), sequences.end());
  ends_.clear();
  for (const CycleStart& start : sequences) {
    ends_.push_back(start.sequence->length() + start.most_tokens);
  }
  started_ = finished_ = 0;
  for (const CycleStart& start : sequences) {
    if (const Status status = start.sequence->reserve(start.most_tokens); status != Status::kOk) {
      for (const CycleStart& other : sequences) other.sequence->crop(other.sequence->length());
      return status;
    }
  }
  make_room(sequences);

  const PassInputs& in = network_->host_inputs();
  std::vector<CycleSequence> on_device;
  std::vector<int32_t> stops;
  int pages = 0, contexts = 0;
  for (const CycleStart& start : sequences) {
    int context = -1;
    if (start.context != nullptr) {
      context = contexts++;
      network_->contexts().upload(static_cast<size_t>(context), *start.context, network_->stream());
    }
    on_device.push_back({.position = start.sequence->length(),
                         .anchor = start.anchor,
                         .left = start.most_tokens,
                         .first_page = pages,
                         .first_stop = static_cast<int>(stops.size()),
                         .stops = static_cast<int>(start.stop_token_ids.size()),
                         .sampling = select_row(*start.sampling, context)});
    stops.insert(stops.end(), start.stop_token_ids.begin(), start.stop_token_ids.end());
    const int own = pages_for(start.sequence->length() + start.most_tokens);
    for (int i = 0; i < own; ++i) {
      in.page_table[pages++] = network_->memory().page_at(start.sequence->pages()[i]);
    }
  }
  *in.counts = {};
  network_->upload_inputs(pages);
  require(cudaMemsetAsync(cycle_.data(), 0, sizeof(int), network_->stream()));
  require(cudaMemcpyAsync(sequences_on_device_.data(), on_device.data(),
                          on_device.size() * sizeof(CycleSequence), cudaMemcpyHostToDevice,
                          network_->stream()));
  if (!stops.empty()) {
    require(cudaMemcpyAsync(stops_.data(), stops.data(), stops.size() * sizeof(int32_t),
                            cudaMemcpyHostToDevice, network_->stream()));
  }
  require(cudaStreamSynchronize(network_->stream()));
  return Status::kOk;
} catch (const std::bad_alloc&) {
  for (const CycleStart& start : sequences) start.sequence->crop(start.sequence->length());
  return Status::kOutOfMemory;
}

// For every cycle until end(): what moved in between would leave cycles in flight behind.
void CudaCycles::make_room(std::span<const CycleStart> sequences) {
  const int count = static_cast<int>(sequences.size());
  int block_size = 1;
  size_t pages = 0, stops = 1, contexts = 0;
  for (const CycleStart& start : sequences) {
    contexts += start.context != nullptr ? 1 : 0;
    block_size = std::max(block_size, start.block_size);
    pages += static_cast<size_t>(pages_for(start.sequence->length() + start.most_tokens));
    stops += start.stop_token_ids.size();
  }
  if (count > room_sequences_ || block_size > room_block_) {
    room_sequences_ = room_block_ = 0;
    const auto room = static_cast<size_t>(count);
    sequences_on_device_ = DeviceArray<CycleSequence>(room);
    drafts_ = DeviceArray<int32_t>(room * static_cast<size_t>(block_size));
    clock_ = DeviceArray<CycleClock>(1);
    cycle_ = DeviceArray<int>(1);
    for (Flight& flight : flights_) {
      flight.memory = PinnedArray<std::byte>(exchange_bytes(room, static_cast<size_t>(block_size)));
    }
    room_sequences_ = count, room_block_ = block_size;
    generation_ = 0;  // graphs hold these addresses too
  }
  if (stops > stops_.size()) {
    stops_ = DeviceArray<int32_t>(stops * 2);
    generation_ = 0;
  }
  network_->reserve_contexts(contexts);
  // Laid out for as many sequences and as large blocks as there is room for, so that graphs serve
  // fewer and smaller ones.
  state_ = {.count = count,
            .block_size = room_block_,
            .stops = stops_.data(),
            .sequences = sequences_on_device_.data(),
            .contexts = network_->contexts().contexts(),
            .vocabulary = network_->config().vocab_size,
            .drafts = drafts_.data(),
            .clock = clock_.data(),
            .cycle = cycle_.data(),
            .exchanges = {}};
  for (size_t i = 0; i < flights_.size(); ++i) {
    Flight& flight = flights_[i];
    flight.drafts.resize(static_cast<size_t>(count));
    flight.exchange = exchange_in(flight.memory.data(), room_sequences_);
    state_.exchanges[i] = flight.exchange;
  }

  std::vector<int> most;
  for (const CycleStart& start : sequences) most.push_back(start.block_size - 1);
  Shape whole = shape_of(most);
  for (const int end : ends_) whole.draft.round_up(end), whole.verify.round_up(end);
  network_->reserve(whole.draft, pages);
  network_->reserve(whole.verify, pages);
  if (generation_ != network_->generation()) graphs_.clear();
  generation_ = network_->generation();
}

// Contexts are taken to be as long as they can be once the cycles in flight have landed.
CudaCycles::Shape CudaCycles::shape_of(std::span<const int> drafts) const {
  Shape shape;
  shape.sequences = static_cast<int>(drafts.size());
  int longest = 0;
  for (size_t s = 0; s < drafts.size(); ++s) {
    if (drafts[s] < 0) continue;
    const CycleStart& start = sequences_[s];
    const bool has_context = start.context != nullptr;
    const bool takes_top = start.sampling->greedy() && !has_context;
    shape.draft.rows.diffusion += drafts[s];
    (takes_top ? shape.draft.tops : shape.draft.logits) += drafts[s];
    shape.draft.sampled = shape.draft.sampled || (!takes_top && drafts[s] > 0);
    shape.draft.adjusted = shape.draft.adjusted || (has_context && drafts[s] > 0);
    shape.verify.rows.ar += drafts[s] + 1;
    (takes_top ? shape.verify.tops : shape.verify.logits) += drafts[s] + 1;
    shape.verify.sampled = shape.verify.sampled || !takes_top;
    shape.verify.adjusted = shape.verify.adjusted || has_context;
    int most = start.sequence->length() + drafts[s] + 1;
    for (int cycle = finished_; cycle < started_; ++cycle) {
      const auto flown = static_cast<size_t>(cycle % kMostInFlight);
      most += std::max(flights_[flown].drafts[s], 0) + 1;
    }
    longest = std::max(longest, std::min(most, ends_[s]));
  }
  shape.draft.round_up(longest, kLeastRows);
  shape.verify.round_up(longest, kLeastRows);
  return shape;
}

Status CudaCycles::start(std::span<const int> drafts) try {
  require(cudaSetDevice(ordinal_));
  const Shape shape = shape_of(drafts);
  const int graphs_before = graphs_.captured();
  cudaGraphExec_t graph = nullptr;
  if (shape.verify.all_rows() <= kMostGraphRows) {
    graph = graphs_.of(shape, network_->stream(), [&] { enqueue(shape); });
  }
  Flight& flight = this->flight(started_);
  flight.follows = started_ > finished_ && graphs_.captured() == graphs_before &&
                   cudaEventQuery(this->flight(started_ - 1).landed) == cudaErrorNotReady;
  std::copy(drafts.begin(), drafts.end(), flight.exchange.plan);
  std::copy(drafts.begin(), drafts.end(), flight.drafts.begin());
  if (graph != nullptr) {
    require(cudaGraphLaunch(graph, network_->stream()));
  } else {
    enqueue(shape);
  }
  require(cudaEventRecord(flight.landed, network_->stream()));
  ++started_;
  return Status::kOk;
} catch (const std::bad_alloc&) {
  return Status::kOutOfMemory;
}

void CudaCycles::enqueue(const Shape& shape) {
  const cudaStream_t stream = network_->stream();
  const PassInputs& in = network_->inputs();
  const PassChoices drafts = network_->choices();
  const bool drafted = shape.draft.all_rows() > 0;
  if (drafted) {
    require(begin_draft(state_, network_->config().mask_token_id, in, shape.draft.logits, stream));
    network_->enqueue(shape.draft);
  }
  require(begin_verify(state_, drafted ? &drafts : nullptr, in, shape.verify.logits, stream));
  network_->enqueue(shape.verify);
  require(accept(state_, network_->choices(), stream));
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
  for (size_t s = 0; s < sequences_.size(); ++s) {
    const CycleOutcome& outcome = flight.exchange.outcomes[s];
    sequences_[s].sequence->extend(outcome.tokens);
    times.draft_rows += outcome.drafted;
    times.verify_rows += outcome.tokens > 0 || outcome.failed ? outcome.verified + 1 : 0;
  }
  return times;
}

CycleResult CudaCycles::result(size_t i) const {
  const CycleExchange& exchange = flight(finished_ - 1).exchange;
  const CycleOutcome& outcome = exchange.outcomes[i];
  const int32_t* const tokens = exchange.tokens + i * static_cast<size_t>(state_.block_size);
  return {.status = outcome.failed ? Status::kNonFiniteLogits : Status::kOk,
          .drafted = outcome.drafted,
          .verified = outcome.verified,
          .accepted = outcome.accepted,
          .tokens = {tokens, static_cast<size_t>(outcome.tokens)}};
}

void CudaCycles::end() {
  require(cudaStreamSynchronize(network_->stream()));
  finished_ = started_;
  for (const CycleStart& start : sequences_) start.sequence->crop(start.sequence->length());
  sequences_.clear();
}

}  // namespace orthrus::cuda
