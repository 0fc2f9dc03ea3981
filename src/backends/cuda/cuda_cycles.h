// Cycles of draft, verify and accept on a CUDA device, each launched as one graph.
#pragma once

#include <array>
#include <vector>

#include "backends/cuda/context_memory.h"
#include "backends/cuda/graphs.h"
#include "backends/cuda/pass_kernels.h"
#include "backends/cycle_runner.h"

namespace orthrus::cuda {

// Page tables, contexts and inputs of passes are the cycles' own; activations are shared with the
// lane's passes, since all run in the order of one stream.
class CudaCycles final : public CycleRunner {
 public:
  // The network must outlive it. Device `ordinal` becomes that of the thread that uses it.
  CudaCycles(PassKernels& network, int ordinal);
  ~CudaCycles() override;
  CudaCycles(const CudaCycles&) = delete;
  CudaCycles& operator=(const CudaCycles&) = delete;

  int slots() const override { return state_.slots; }
  bool takes(const CycleStart& start) const override;
  Status join(int slot, const CycleStart& start) override;
  void leave(int slot) override { tenants_[static_cast<size_t>(slot)] = {}; }
  Status start(std::span<const CycleRequest> by_slot) override;
  CycleTimes finish() override;
  const CycleResult* result(int slot) const override;
  int in_flight() const override { return static_cast<int>(started_ - finished_); }
  void drain() override;

 private:
  // Who has a slot.
  struct Tenant {
    uint64_t number = 0;  // of those who joined; 0: the slot is free
    const KvSequence* sequence = nullptr;
    bool greedy = true;
    int context = -1;  // its place among the contexts
    int position = 0;  // as of the last finish()
    int end = 0;       // position once it has emitted its last token
    int pages = 0;     // of its page table that the device knows
  };
  // What the graph of a cycle is captured for. A cycle of plain steps has no rows of a draft.
  struct Shape {
    PassSizes draft, verify;
    bool by_trees() const { return verify.branched; }
    auto operator<=>(const Shape&) const = default;
  };
  struct Flight {
    struct Part {
      uint64_t tenant = 0;
      int drafts = -1;  // -1: none
      bool tree = false;
    };
    Event landed;
    PinnedArray<std::byte> memory;  // of its exchange
    CycleExchange exchange;
    std::vector<Part> parts;  // [slots]
    bool follows = false;     // the cycle before, with nothing of the host in between
  };
  struct Landed {
    uint64_t tenant = 0;
    CycleResult result{};
  };

  int free_context() const;
  int most_position(int slot, int drafts) const;
  Shape shape_of(std::span<const CycleRequest> by_slot) const;
  void make_room(const Shape& shape, std::span<const CycleRequest> by_slot);
  void plan(std::span<const CycleRequest> by_slot, Flight& flight);
  void plan_trees(std::span<const CycleRequest> by_slot, TreePlan* plans);
  void tell_pages(int slot, int first, int end);
  void enqueue(const Shape& shape);
  void enqueue_with_trees(const Shape& shape);
  static_assert(CycleState::kExchanges == kMostInFlight);
  Flight& flight(uint32_t cycle) { return flights_[cycle % kMostInFlight]; }

  PassKernels* network_;
  int ordinal_;
  Graphs<Shape> graphs_;
  int generation_ = 0;  // of the network's memory, that the graphs were captured for

  DeviceArray<CycleSlot> of_slot_;
  DeviceArray<int32_t> stops_;
  DeviceArray<int32_t> drafts_;
  DeviceArray<int> page_table_;  // [slots][most_pages], then what TreeTables has of branches
  DeviceArray<SlotTree> trees_;
  DeviceArray<KeptRow> kept_;
  DeviceArray<int> kept_count_;
  DeviceArray<CycleClock> clock_;
  DeviceArray<uint32_t> cycle_;
  ContextMemory contexts_;
  DeviceArray<std::byte> input_memory_;
  int input_rows_ = 0;
  PassInputs inputs_;
  CycleState state_;

  std::vector<Tenant> tenants_;  // [slots]
  std::vector<Landed> landed_;   // [slots], of the last finish()
  std::array<Flight, kMostInFlight> flights_;
  uint64_t joined_ = 0;  // tenants so far
  // Numbers of the next cycle to start and to finish.
  uint32_t started_ = CycleState::kFirstCycle, finished_ = CycleState::kFirstCycle;
  uint64_t last_end_ = 0;  // of the cycle before, by the device's clock
};

}  // namespace orthrus::cuda
