// Whole cycles of draft, verify and accept that a device runs by itself: the next one begins before
// the host has learnt what the last one gave.
#pragma once

#include <span>

#include "cache/kv_cache.h"
#include "kernels/ops.h"
#include "orthrus/sampling.h"
#include "orthrus/status.h"

namespace orthrus {

// A sequence whose anchor is known: the last token emitted, whose keys are not yet in the cache.
struct CycleStart {
  KvSequence* sequence = nullptr;
  int32_t anchor = 0;
  int most_tokens = 0;  // that it may still emit, >= 1; the context has room for them
  int block_size = 1;   // most tokens that a cycle emits
  SamplingParams sampling{};
  std::span<const int32_t> stop_token_ids{};  // emitting one ends it
};

// What a cycle gave of one sequence.
struct CycleResult {
  Status status = Status::kOk;  // kNonFiniteLogits: the AR view selected nothing, and it has ended
  int drafted = 0;              // tokens drafted; 0: a plain AR step
  int verified = 0;
  int accepted = 0;
  std::span<const int32_t> tokens;  // emitted; none once the sequence has ended
};

// What the cycle's two passes took, in seconds, and their rows; the wait since the cycle before is
// the verify pass's. No draft pass: 0 rows.
struct CycleTimes {
  double draft = 0, verify = 0;
  int draft_rows = 0, verify_rows = 0;
};

// Serves one thread of control at a time. Between begin() and end() the runner's passes are not to
// be used.
class CycleRunner {
 public:
  static constexpr int kMostInFlight = 2;

  virtual ~CycleRunner() = default;

  // Takes over these sequences. kOutOfMemory, and nothing has changed, where there is no room to
  // run their cycles whole.
  virtual Status begin(std::span<const CycleStart> sequences) = 0;

  // Has the next cycle run, at most kMostInFlight at a time. By sequence: how many tokens to draft,
  // up to block_size - 1, all of which are verified; -1: it takes no part, unlike one at least. It
  // drafts fewer near its last token, and one that has ended does nothing.
  virtual Status start(std::span<const int> drafts) = 0;

  // Waits for the oldest cycle in flight. Every sequence is longer by the keys that it computed.
  virtual CycleTimes finish() = 0;

  // What that cycle gave of sequences[i]. Valid until the next start() or finish().
  virtual CycleResult result(size_t i) const = 0;

  // Waits for what is in flight, whose results are dropped.
  virtual void end() = 0;
};

}  // namespace orthrus
