#include "cli/bench_record.h"

#include <algorithm>
#include <span>

namespace orthrus::cli {
namespace {

void count(std::vector<int>& counts, int n) {
  const auto i = static_cast<size_t>(n);
  if (counts.size() <= i) counts.resize(i + 1);
  ++counts[i];
}

void add_counts(std::vector<int>& to, const std::vector<int>& counts) {
  to.resize(std::max(to.size(), counts.size()));
  for (size_t i = 0; i < counts.size(); ++i) to[i] += counts[i];
}

void add_cycle(SourceTotals& to, const BenchCycle& cycle) {
  ++to.cycles;
  to.made += cycle.made;
  to.verified += cycle.verified;
  to.accepted += cycle.accepted;
  to.tokens += cycle.tokens;
  to.seconds += cycle.seconds;
  count(to.of_made, cycle.made);
  count(to.of_verified, cycle.verified);
  count(to.of_tokens, cycle.tokens);
  const auto judged = static_cast<size_t>(cycle.judged);
  if (to.places.size() < judged) to.places.resize(judged);
  for (size_t i = 0; i < judged; ++i) {
    SourceTotals::Place& place = to.places[i];
    ++place.judged;
    if (i >= static_cast<size_t>(cycle.accepted)) continue;
    ++place.accepted;
    if (i < cycle.ranks.size()) count(place.ranks, cycle.ranks[i]);
  }
}

}  // namespace

void BenchRun::add(const Step& step) {
  ids.insert(ids.end(), step.tokens.begin(), step.tokens.end());
  cycles.push_back({.source = step.source,
                    .made = step.made,
                    .verified = step.drafted,
                    .accepted = step.accepted,
                    .judged = step.judged,
                    .tokens = static_cast<int>(step.tokens.size()),
                    .seconds = step.seconds,
                    .ranks = {step.ranks.begin(), step.ranks.end()}});
}

double BenchRun::seconds() const {
  double sum = 0;
  for (const BenchCycle& cycle : cycles) sum += cycle.seconds;
  return sum;
}

void CycleTotals::add(const BenchRun& run) {
  if (run.cycles.empty()) return;
  for (const BenchCycle& cycle : std::span(run.cycles).subspan(1)) {
    add_cycle(sources_[static_cast<size_t>(cycle.source)], cycle);
  }
}

SourceTotals CycleTotals::all() const {
  SourceTotals sum;
  for (const SourceTotals& one : sources_) {
    sum.cycles += one.cycles;
    sum.made += one.made;
    sum.verified += one.verified;
    sum.accepted += one.accepted;
    sum.tokens += one.tokens;
    sum.seconds += one.seconds;
    add_counts(sum.of_made, one.of_made);
    add_counts(sum.of_verified, one.of_verified);
    add_counts(sum.of_tokens, one.of_tokens);
  }
  return sum;
}

}  // namespace orthrus::cli
