// What runs of `orthrus bench` did cycle by cycle, for the page of --report.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "orthrus/engine.h"

namespace orthrus::cli {

// A Step without its text.
struct BenchCycle {
  DraftSource source = DraftSource::kNone;
  int made = 0, verified = 0, accepted = 0, judged = 0;
  int tokens = 0;
  double seconds = 0;
  std::vector<int> ranks{};
};

// One generation. The first cycle is the token that the prefill gave.
struct BenchRun {
  std::vector<int32_t> ids;
  std::vector<BenchCycle> cycles;

  void add(const Step& step);
  double seconds() const;  // of decoding
};

inline constexpr std::array kDraftSources = {DraftSource::kNone, DraftSource::kBlock,
                                             DraftSource::kTree, DraftSource::kLeftover,
                                             DraftSource::kLookup};

// The cycles whose drafts are from one source.
struct SourceTotals {
  int64_t cycles = 0, made = 0, verified = 0, accepted = 0, tokens = 0;
  double seconds = 0;
  std::vector<int> of_made, of_verified, of_tokens;  // [n]: cycles with so many
  struct Place {
    int judged = 0, accepted = 0;
    std::vector<int> ranks;  // of a tree: [r]: accepted with r likelier ones beside it
  };
  std::vector<Place> places;  // [i]: of the drafts i + 1 tokens behind the anchor
};

// Of any number of runs.
class CycleTotals {
 public:
  void add(const BenchRun& run);

  const SourceTotals& of(DraftSource source) const { return sources_[static_cast<size_t>(source)]; }
  SourceTotals all() const;  // without places

 private:
  std::array<SourceTotals, kDraftSources.size()> sources_;
};

}  // namespace orthrus::cli
