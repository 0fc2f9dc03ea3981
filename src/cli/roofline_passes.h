// Which passes `orthrus bench --roofline` measures, and the cycles that they make.
#pragma once

#include <optional>
#include <vector>

#include "orthrus/engine.h"

namespace orthrus::cli {

// Passes of more rows are measured as chunks of a prompt.
inline constexpr int kMostVerified = 128;

// What is not given is as suits the device and the model; what does not fit its context is left
// out then.
struct PassLists {
  std::optional<std::vector<int>> rows, contexts;
};

// By context: AR passes of these rows; then drafts, in a row less than their block, which has as
// many as the verify pass; then chunks of a prompt.
std::vector<PassShape> passes_of(const ModelConfig& config, const Device& device,
                                 const PassLists& lists);

// The most drafts that every cycle of these passes can accept, the least of the contexts' largest
// blocks; 0 when none drafts.
int most_accepted(const std::vector<PassShape>& passes);

// A draft pass and the verify pass of the whole block, without what lies between the two.
struct Cycle {
  int context = 0;
  int block = 0;  // tokens: the anchor and block - 1 drafts
  double draft_seconds = 0, verify_seconds = 0;
  std::optional<double> ar_seconds;  // of a plain step, where one was measured

  double per_second() const { return 1 / (draft_seconds + verify_seconds); }
  // Were `acceptance` drafts accepted a cycle: each gives a token more.
  double tokens_per_second(double acceptance) const { return (acceptance + 1) * per_second(); }
};

// By context, each with the largest block.
std::vector<Cycle> cycles_of(const Roofline& roofline);

}  // namespace orthrus::cli
