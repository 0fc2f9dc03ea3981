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

// Serves one thread of control at a time. Between begin() and end() the lane's passes are not to
// be used.
class CycleRunner {
 public:
  static constexpr int kMostInFlight = 2;

  virtual ~CycleRunner() = default;

  // Takes over these sequences. kOutOfMemory, and nothing has changed, where there is no room to
  // run their cycles whole.
  virtual Status begin(std::span<const CycleStart> sequences) = 0;

  // Has the next cycle run, at most kMostInFlight at a time. By sequence: how many tokens to draft,
  // up to block_size - 1, all of which are verified; -1: it sits this cycle out; at least one must
  // not. It drafts fewer near its last token, and one that has ended does nothing.
  virtual Status start(std::span<const int> drafts) = 0;

  // Waits for the oldest cycle in flight. Every sequence is longer by the keys that it computed.
  virtual CycleTimes finish() = 0;

  // What that cycle gave of sequences[i]. Valid until the next start() or finish().
  virtual CycleResult result(size_t i) const = 0;

  // Waits for what is in flight, whose results are dropped.
  virtual void end() = 0;
};

}  // namespace orthrus
