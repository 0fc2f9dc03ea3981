// One forward pass of the network over a ragged batch of spans.
#pragma once

#include <span>

#include "network/span.h"
#include "orthrus/status.h"

namespace orthrus {

// Runs passes. Owns their activations, so one ForwardPass serves one thread of control at a time.
class ForwardPass {
 public:
  virtual ~ForwardPass() = default;

  // Sequences do not change: on kOk the keys and values of AR spans lie behind theirs.
  virtual Status run(std::span<const Span> spans) = 0;

  // After run, what spans[i] asked for. Valid until the next run.
  virtual HeadRows head_rows(size_t span) const = 0;

  // What the last run took, without what it prepared for later ones of its size.
  virtual double seconds() const = 0;
};

}  // namespace orthrus
