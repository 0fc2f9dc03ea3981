// How likely a draft is to be accepted, given how sure the diffusion view was of it.
#pragma once

#include <array>

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

 private:
  // Upper ends of the bins: finer where acceptance changes most.
  static constexpr std::array kEnds = {0.05f, 0.1f, 0.2f, 0.3f,  0.4f,  0.5f,  0.6f,
                                       0.7f,  0.8f, 0.9f, 0.95f, 0.98f, 0.995f};
  struct Bin {
    double accepted = 0, seen = 0;
  };
  static int bin_of(float probability);

  std::array<Bin, kEnds.size() + 1> bins_{};
};

}  // namespace orthrus
