// How likely a draft is to be accepted, given how sure the diffusion view was of it.
#pragma once

#include <array>
#include <span>

#include "kernels/acceptance_table.h"

namespace orthrus {

// Of drafts whose predecessors were all accepted, the share that was accepted too, by the draft's
// probability under the diffusion view. Recent drafts count more.
class Calibration {
 public:
  // Begins with drafts that are accepted `trust` times as often as their probability says.
  explicit Calibration(double trust = 0.97);

  // P(accepted | all before it accepted).
  double acceptance(float probability) const;

  void observe(float probability, bool accepted);

  // All of it, by bin.
  void copy_to(std::span<float, ConfidenceBins::kCount> table) const;

 private:
  struct Bin {
    double accepted = 0, seen = 0;
    double acceptance() const { return accepted / seen; }
  };
  static constexpr ConfidenceBins kBins{};

  std::array<Bin, ConfidenceBins::kCount> bins_{};
};

}  // namespace orthrus
