// Whole cycles of draft, verify and accept that a device runs by itself: the next one begins before
// the host has learnt what the last one gave.
#pragma once

#include <span>

#include "network/cycle.h"
#include "orthrus/status.h"

namespace orthrus {

// What the cycle's two passes took, in seconds, and their rows; the wait since the cycle before is
// the verify pass's. No draft pass: 0 rows.
struct CycleTimes {
  double draft = 0, verify = 0;
  int draft_rows = 0, verify_rows = 0;
};

// Sequences join and leave cycles one by one: each that takes part has one of a fixed number of
// slots. Passes of the lane may run between any two calls, and wait for cycles in flight. Lengths
// of sequences are not changed here: whoever takes a result commits it.
//
// Serves one thread of control at a time.
class CycleRunner {
 public:
  static constexpr int kMostInFlight = 2;

  virtual ~CycleRunner() = default;

  // How many sequences may be in cycles at a time.
  virtual int slots() const = 0;

  // Whether this sequence's cycles can run here at all; otherwise it is decoded pass by pass.
  virtual bool takes(const CycleStart& start) const = 0;

  // The sequence's cycles run in this free slot from the next start() on. What `start` points to is
  // copied, but for the sequence. kOutOfMemory, and nothing has changed, where there is no room.
  virtual Status join(int slot, const CycleStart& start) = 0;

  // The slot is free at once. What is in flight for it lands unseen, before anything that is asked
  // for later: others may be given the sequence's pages.
  virtual void leave(int slot) = 0;

  // Has the next cycle run, at most kMostInFlight at a time, for at least one sequence. Those that
  // take part have room for all tokens that cycles in flight and this one may emit; one that has
  // ended does nothing. `by_slot`: [slots()]. kOutOfMemory, and nothing has changed.
  virtual Status start(std::span<const CycleRequest> by_slot) = 0;

  // Waits for the oldest cycle in flight.
  virtual CycleTimes finish() = 0;

  // What that cycle gave of the slot's sequence; null where it took no part. Valid until the next
  // start() or finish().
  virtual const CycleResult* result(int slot) const = 0;

  virtual int in_flight() const = 0;  // cycles

  // Waits for what is in flight, whose results are dropped: those that took part have gone further
  // than anybody knows, and must leave.
  virtual void drain() = 0;
};

}  // namespace orthrus
