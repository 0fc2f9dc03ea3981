// Cycles of draft, verify and accept on a CUDA device, each launched as one graph.
#pragma once

#include <array>
#include <vector>

#include "backends/cuda/graphs.h"
#include "backends/cuda/pass_kernels.h"
#include "backends/cycle_runner.h"

namespace orthrus::cuda {

class CudaCycles final : public CycleRunner {
 public:
  // The network must outlive it. Device `ordinal` becomes that of the thread that uses it.
  CudaCycles(PassKernels& network, int ordinal);
  ~CudaCycles() override;
  CudaCycles(const CudaCycles&) = delete;
  CudaCycles& operator=(const CudaCycles&) = delete;

  Status begin(std::span<const CycleStart> sequences) override;
  Status start(std::span<const int> drafts) override;
  CycleTimes finish() override;
  CycleResult result(size_t i) const override;
  void end() override;

 private:
  // What the graph of a cycle is captured for. A cycle of plain steps has no rows of a draft.
  struct Shape {
    int sequences = 0;
    PassSizes draft, verify;
    auto operator<=>(const Shape&) const = default;
  };
  struct Flight {
    Event landed;
    PinnedArray<std::byte> memory;  // of its exchange
    CycleExchange exchange;
    std::vector<int> drafts;  // by sequence, as planned
    bool follows = false;     // the cycle before, with nothing of the host in between
  };

  void make_room(std::span<const CycleStart> sequences);
  Shape shape_of(std::span<const int> drafts) const;
  void enqueue(const Shape& shape);
  static_assert(CycleState::kExchanges == kMostInFlight);
  Flight& flight(int cycle) { return flights_[static_cast<size_t>(cycle % kMostInFlight)]; }
  const Flight& flight(int cycle) const {
    return flights_[static_cast<size_t>(cycle % kMostInFlight)];
  }

  PassKernels* network_;
  int ordinal_;
  Graphs<Shape> graphs_;
  int generation_ = 0;  // of the network's memory, that the graphs were captured for
  int room_sequences_ = 0, room_block_ = 0;

  DeviceArray<int32_t> stops_;
  DeviceArray<CycleSequence> sequences_on_device_;
  DeviceArray<int32_t> drafts_;
  DeviceArray<CycleClock> clock_;
  DeviceArray<int> cycle_;
  CycleState state_;

  std::vector<CycleStart> sequences_;
  std::vector<int> ends_;  // by sequence: positions once it has emitted its last token
  std::array<Flight, kMostInFlight> flights_;
  int started_ = 0, finished_ = 0;  // cycles
  uint64_t last_end_ = 0;           // of the cycle before, by the device's clock
};

}  // namespace orthrus::cuda
