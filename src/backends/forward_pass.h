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

  // On kOk every AR span's sequence is longer by its tokens; otherwise no sequence has changed.
  virtual Status run(std::span<const Span> spans) = 0;

  // After run, what spans[i] asked for. Valid until the next run.
  virtual HeadRows head_rows(size_t span) const = 0;

  // What the last run took, without what it prepared for later ones of its size.
  virtual double seconds() const = 0;
};

}  // namespace orthrus
