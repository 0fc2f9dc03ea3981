#include "decode/auto_policy.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace orthrus {
namespace {

// How fast a history forgets, at each cycle: about the last five count, and the last hundred.
constexpr double kRecentMemory = 0.85;
constexpr double kLongMemory = 0.99;
// So many observations what is known from further away is worth: of a place the place before, of
// the last few cycles the long run.
constexpr double kPriorWeight = 2;
constexpr double kRecentPrior = 8;
constexpr double kVainRate = 0.05;  // a running mean's share of the new value
constexpr double kNextPlace = 0.95;
constexpr double kFirstGuess = 0.8;  // of the first place, before anything was seen

constexpr int kLeastPatience = 3;
constexpr int kMostPatience = 128;
constexpr int kMostPatienceWhole = 64;  // where probes learn from what was accepted alone
// Of blocks that are expected to be nearly as good as the best the largest is taken: what they cost
// is known better than how far drafts go.
constexpr double kNearlyBest = 0.94;
constexpr int kFirstPatience = 24;  // most of a new text, which may be of another kind
constexpr int kProbeDrafts = 2;
// Plain steps whose time must have been seen before anything is held against it.
constexpr int kLeastPlainSteps = 3;
constexpr int kPassesBehindLookup = 4;  // 2 gave less, 8 and 16 no more (docs/performance.md)

double logit(double p) {
  p = std::clamp(p, 0.005, 0.995);
  return std::log(p / (1 - p));
}

// `usual` with its log-odds moved by as much as what was met is off what was expected.
double shifted(double usual, double met, double expected) {
  const double log_odds = logit(usual) + logit(met) - logit(expected);
  return 1 / (1 + std::exp(-log_odds));
}

}  // namespace

double AcceptanceHistory::acceptance(int place) const {
  // A place that was hardly reached is taken to be a little worse than the one before.
  double share = kFirstGuess / kNextPlace;
  for (int i = 0; i < std::min(place, kPlaces); ++i) {
    share = (places_[i].accepted + kPriorWeight * kNextPlace * share) /
            (places_[i].seen + kPriorWeight);
  }
  return share;
}

void AcceptanceHistory::observe(int place, double weight, double accepted) {
  Share& share = places_[std::min(place, kPlaces) - 1];
  share.accepted += weight * accepted;
  share.seen += weight;
}

void AcceptanceHistory::end_cycle() {
  for (Share& share : places_) {
    share = {share.accepted * kLongMemory, share.seen * kLongMemory};
  }
}

double RecentAcceptance::acceptance(int place) const {
  const double usual = history_->acceptance(place);
  if (recent_.seen <= 0) return usual;
  const double expected = expected_ / recent_.seen;
  const double met = (recent_.accepted + kRecentPrior * expected) / (recent_.seen + kRecentPrior);
  return shifted(usual, met, expected);
}

double RecentAcceptance::acceptance_in_a_stretch_like(std::span<const double> acceptances,
                                                      int place) const {
  double met = 0, expected = 0;
  for (size_t i = 0; i < acceptances.size(); ++i) {
    met += acceptances[i] / static_cast<double>(acceptances.size());
    expected +=
        history_->acceptance(static_cast<int>(i) + 1) / static_cast<double>(acceptances.size());
  }
  return shifted(history_->acceptance(place), met, expected);
}

void RecentAcceptance::observe(int place, double weight, double accepted) {
  expected_ += weight * history_->acceptance(place);
  recent_.accepted += weight * accepted;
  recent_.seen += weight;
  history_->observe(place, weight, accepted);
}

void RecentAcceptance::end_cycle() {
  recent_ = {recent_.accepted * kRecentMemory, recent_.seen * kRecentMemory};
  expected_ *= kRecentMemory;
  history_->end_cycle();
}

AutoPolicy::AutoPolicy(PolicyState& state, const PassTimes& times)
    : state_(&state), history_(state.history), lookups_(state.lookups), times_(&times) {}

// A text that has not drafted yet may be of another kind than those before it.
bool AutoPolicy::probe_is_due(int rarer) const {
  const int64_t times = int64_t{sequences_} * rarer;
  return probe_again_ || state_->plain_steps >= state_->patience * times ||
         (!drafts_ && plain_steps_ >= kFirstPatience * times);
}

void AutoPolicy::step_plainly() {
  ++plain_steps_;
  ++state_->plain_steps;
}

void AutoPolicy::begin_block(bool pays) {
  probe_again_ = false;
  drafts_ = true;
  state_->plain_steps = pays ? std::max<int64_t>(state_->plain_steps - plain_steps_, 0) : 0;
  plain_steps_ = 0;
}

// Where blocks have paid, a pause is likely to be a short one.
void AutoPolicy::end_block(int drafts, const Outcome& outcome) {
  history_.end_cycle();
  const bool paid =
      outcome.tokens() > plain_rate() * (draft_time(drafts) + time(outcome.verified + 1));
  if (paid) state_->patience = std::max(state_->patience / 2, kLeastPatience);
}

// What several sequences gain by drafting together is less sure than what one does: the others may
// do otherwise, and a pass of many rows is seldom of the number that was timed.
bool AutoPolicy::pays(const Block& block) const {
  constexpr double kDoubt = 0.02;
  constexpr int kMostDoubts = 7;
  return block.rate > plain_rate() * (1 + kDoubt * std::min(sequences_ - 1, kMostDoubts));
}

template <typename Acceptance>
AutoPolicy::Block AutoPolicy::best_block(int most, double verified_in_vain,
                                         Acceptance acceptance) const {
  Block best;
  double tokens = 1;    // 1 + s_1 + ... + s_d
  double accepted = 1;  // s_d
  for (int d = 1; d <= most; ++d) {
    accepted *= acceptance(d);
    tokens += accepted;
    const double right = tokens - 1;
    const double verified = right + verified_in_vain * (d - right);
    const double rate = tokens / (draft_time(d) + time(static_cast<int>(std::ceil(verified)) + 1));
    if (rate > best.rate) best = {d, rate};
    if (rate > kNearlyBest * best.rate) best.largest = d;
  }
  return best;
}

// By few sizes: each is a graph of its own on a device.
template <typename Acceptance>
AutoPolicy::Block AutoPolicy::best_tree(int most, Acceptance acceptance) const {
  Block best;
  for (int rows = 4; rows <= kMostTreeNodes; rows *= 2) {
    const int nodes = std::min(rows - 1, most_nodes_);
    const double expected = state_->trees.expected(nodes), verify = time(nodes + 1);
    const double more = std::max(expected / state_->trees.usual(), 1.0);
    double right = 0, accepted = 1;
    for (int d = 1; d <= std::min(most, nodes); ++d) {
      right += accepted *= acceptance(d);
      const double of_both = std::min({expected, more * right, static_cast<double>(d)});
      const double rate = (1 + of_both) / (draft_time(d) + verify);
      if (rate > best.rate) best = {d, rate, d, nodes, of_both};
      if (nodes == best.nodes && rate > kNearlyBest * best.rate) best.largest = d;
    }
    if (nodes == most_nodes_) break;
  }
  return best;
}

template <typename Reached>
AutoPolicy::Prefix AutoPolicy::best_prefix(int most, Reached reached) const {
  Prefix best{.gain = 1 - rate_ * time(1)};  // a plain step
  double sum = 0;                            // s_1 + ... + s_n
  for (int n = 1; n <= most; ++n) {
    sum += reached(n - 1);
    const double gain = 1 + sum - rate_ * time(n + 1);
    if (gain > best.gain) best = {n, sum, gain};
  }
  return best;
}

AutoPolicy::Prefix AutoPolicy::best_found(const Found& found) const {
  double right = 1;  // that all drafts so far are
  return best_prefix(found.drafts, [&](int i) {
    return right *= lookups_.acceptance(found.match + i, found.near);
  });
}

AutoPolicy::Prefix AutoPolicy::best_prefix() {
  acceptances_.clear();
  for (const float probability : probabilities_) {
    acceptances_.push_back(state_->calibration(misses_).acceptance(probability));
  }
  double accepted = 1;
  return best_prefix(static_cast<int>(acceptances_.size()),
                     [&](int i) { return accepted *= acceptances_[static_cast<size_t>(i)]; });
}

CyclePlan AutoPolicy::plan(int most, const Leftover& left, const Found& found) {
  probabilities_.clear();
  drafted_ = probing_ = false;
  most_nodes_ = 0;
  if (std::max(most, found.drafts) == 0 || times_->seen(sequences_) < kLeastPlainSteps) return {};
  const bool waiting = waits(1);
  Block block;
  if (!waiting) {
    block = best_block(most, state_->verified_in_vain,
                       [&](int place) { return history_.acceptance(place); });
  }
  rate_ = std::max(plain_rate(), block.rate);
  const Prefix lookup = best_found(found);
  if (!left.probabilities.empty()) {
    probabilities_.assign(left.probabilities.begin(), left.probabilities.end());
    misses_ = left.misses;
    const Prefix prefix = best_prefix();
    if (prefix.drafts > 0 && prefix.gain > std::max(lookup.gain, 0.0)) {
      if (waiting) step_plainly();
      return {.leftover = prefix.drafts, .expected_accepted = prefix.expected};
    }
    probabilities_.clear();
  }
  if (lookup.drafts > 0 && lookup.gain > 0) {
    if (waiting) step_plainly();
    return {.lookup = lookup.drafts, .expected_accepted = lookup.expected};
  }
  if (most == 0) return {};
  const bool pays = !waiting && this->pays(block);
  if (!pays && !probe_is_due(1)) {
    step_plainly();
    return {};
  }
  most_ = most;
  probing_ = !pays;
  begin_block(pays);
  // At most about twice the last one, so that a few lucky drafts do not stake a long block.
  last_drafts_ = pays ? std::min(block.drafts, 2 * last_drafts_ + 1) : std::min(most, kProbeDrafts);
  return {last_drafts_};
}

Verification AutoPolicy::verified(std::span<const float> probabilities) {
  probabilities_.assign(probabilities.begin(), probabilities.end());
  misses_ = 0;
  drafted_ = true;
  return begin_verify(best_prefix());
}

double AutoPolicy::acceptance(float confidence, int rank) const {
  return (rank == 0 ? state_->calibration(0) : state_->alternatives).acceptance(confidence);
}

// More nodes are better by what they may be accepted at most, and dearer by their rows. Were they
// all as likely as the next one, would some number of them be better than the best tree so far?
bool AutoPolicy::goes_on(std::span<const DraftNode> nodes, double reached) {
  if (nodes.empty()) {
    costs_.clear();
    for (int n = 0; n < kMostTreeNodes; ++n) costs_.push_back(rate_ * time(n + 1));
  }
  double sum = 0, best = -costs_[0];
  for (size_t n = 1; n <= nodes.size(); ++n) {
    sum += nodes[n - 1].reached;
    best = std::max(best, sum - costs_[n]);
  }
  for (size_t n = nodes.size() + 1; n < costs_.size(); ++n) {
    sum += reached;
    if (sum - costs_[n] > best) return true;
  }
  return false;
}

Verification AutoPolicy::verified_tree(std::span<const float> chain,
                                       std::span<const DraftNode> nodes) {
  probabilities_.assign(chain.begin(), chain.end());
  misses_ = 0;
  drafted_ = true;
  best_prefix();  // of the chain alone: what its drafts are worth
  return begin_verify(best_prefix(static_cast<int>(nodes.size()),
                                  [&](int i) { return nodes[static_cast<size_t>(i)].reached; }));
}

Verification AutoPolicy::begin_verify(const Prefix& prefix) {
  constexpr double kMostInVain = 8;
  double right = 0, accepted = 1;
  for (const double acceptance : acceptances_) right += accepted *= acceptance;
  if (const double wrong = static_cast<double>(probabilities_.size()) - right; wrong > 0.1) {
    const double in_vain = std::clamp((prefix.drafts - prefix.expected) / wrong, 0.0, kMostInVain);
    state_->verified_in_vain += (in_vain - state_->verified_in_vain) * kVainRate;
  }
  if (probing_) learn_from_probe(acceptances_, most_, state_->verified_in_vain, kMostPatience);
  return {prefix.drafts, prefix.expected};
}

void AutoPolicy::learn_from_probe(std::span<const double> acceptances, int most,
                                  double verified_in_vain, int most_patience) {
  // Would a block of the right size pay, were the stretch all like these drafts?
  const auto acceptance = [&](int place) {
    return history_.acceptance_in_a_stretch_like(acceptances, place);
  };
  const bool pays = this->pays(most_nodes_ > 0 ? best_tree(most, acceptance)
                                               : best_block(most, verified_in_vain, acceptance));
  state_->patience = pays ? kLeastPatience : std::min(2 * state_->patience, most_patience);
  probe_again_ = pays;
}

AutoPolicy::Block AutoPolicy::best_whole(int most) const {
  const auto acceptance = [&](int place) { return history_.acceptance(place); };
  return most_nodes_ > 0 ? best_tree(most, acceptance) : best_block(most, 1, acceptance);
}

// What a block costs hardly depends on its size where cycles run whole, and that is what a probe of
// the largest shows.
WholePlan AutoPolicy::plan_whole(int most, int most_nodes) {
  passes_left_ = 0;
  if (most == 0 || times_->seen(sequences_) < kLeastPlainSteps) return {};
  most_nodes_ = most_nodes;
  const bool waiting = waits(sequences_);
  Block block;
  if (!waiting) block = best_whole(most);
  const bool pays = !waiting && this->pays(block);
  if (!pays && !probe_is_due(sequences_)) {
    step_plainly();
    return {};
  }
  if (waiting) block = best_whole(most);
  begin_block(pays);
  // One sequence's rows are nearly free, several sequences' are not.
  WholePlan plan{.drafts = !pays             ? most
                           : sequences_ == 1 ? block.largest
                                             : block.drafts,
                 .nodes = block.nodes,
                 .expected_accepted = block.expected,
                 .probe = !pays};
  if (most_nodes > 0) {
    state_->calibration(0).copy_to(tables_.likeliest);
    state_->alternatives.copy_to(tables_.others);
    plan.acceptances = &tables_;
    return plan;
  }
  double accepted = 1;
  for (int d = 1; d <= plan.drafts; ++d) {
    plan.expected_accepted += accepted *= history_.acceptance(d);
  }
  return plan;
}

std::optional<CyclePlan> AutoPolicy::plan_found(int most, int most_nodes, const Found& found) {
  constexpr double kLeastGain = 0.5;  // in tokens: no cycle begins before the pass is done
  if (sequences_ > 1 || times_->seen(1) < kLeastPlainSteps) return std::nullopt;
  const bool stays = most == 0 && passes_left_ > 0;  // no heads, or one token left
  if (found.drafts == 0) return stays ? std::optional(CyclePlan()) : std::nullopt;
  probabilities_.clear();
  most_nodes_ = most_nodes;
  rate_ = plain_rate();
  if (most > 0 && !waits(1)) rate_ = std::max(rate_, best_whole(most).rate);
  const Prefix lookup = best_found(found);
  if (lookup.drafts > 0 && lookup.gain > (stays ? 0 : kLeastGain)) {
    return CyclePlan{.lookup = lookup.drafts, .expected_accepted = lookup.expected};
  }
  return stays ? std::optional(CyclePlan()) : std::nullopt;
}

void AutoPolicy::observe_whole(const WholePlan& plan, const Outcome& outcome) {
  if (plan.drafts == 0) return;
  acceptances_.clear();
  for (int place = 1; place <= outcome.compared(); ++place) {
    acceptances_.push_back(place <= outcome.accepted ? 1 : 0);
    history_.observe(place, 1, acceptances_.back());
  }
  end_whole(plan, outcome);
}

void AutoPolicy::observe_whole_tree(const WholePlan& plan, std::span<const DraftNode> nodes,
                                    std::span<const int> path, bool ended) {
  state_->trees.observe(nodes);
  acceptances_.assign(path.size(), 1);
  if (learn_from_path(nodes, path, ended)) acceptances_.push_back(0);
  end_whole(plan, {static_cast<int>(nodes.size()), static_cast<int>(path.size()), ended});
}

// A probe drafts all that it could.
void AutoPolicy::end_whole(const WholePlan& plan, const Outcome& outcome) {
  if (plan.probe) learn_from_probe(acceptances_, plan.drafts, 1, kMostPatienceWhole);
  end_block(plan.drafts, outcome);
}

void AutoPolicy::observe_accepted(const Outcome& outcome) {
  if (probabilities_.empty()) {  // a plain step, or of what was found
    passes_left_ = outcome.verified > 0 ? kPassesBehindLookup : std::max(passes_left_ - 1, 0);
    return;
  }
  for (int place = 1; place <= outcome.compared(); ++place) {
    const bool right = place <= outcome.accepted;
    state_->calibration(misses_).observe(probabilities_[static_cast<size_t>(place) - 1], right);
    if (drafted_) history_.observe(place, 1, right ? 1 : 0);
  }
  if (!drafted_) return;
  if (!outcome.ended && outcome.accepted == outcome.verified) {
    observe_unverified(outcome.verified + 1);
  }
  end_block(static_cast<int>(probabilities_.size()), outcome);
}

void AutoPolicy::observe_path(std::span<const DraftNode> nodes, std::span<const int> path,
                              bool ended) {
  if (probabilities_.empty()) return;  // nothing could be drafted
  const Outcome outcome{static_cast<int>(nodes.size()), static_cast<int>(path.size()), ended};
  const bool wrong = learn_from_path(nodes, path, ended);
  const bool likeliest = std::ranges::all_of(
      path, [&](int node) { return nodes[static_cast<size_t>(node)].rank == 0; });
  if (!wrong && !ended && likeliest) observe_unverified(outcome.accepted + 1);
  end_block(static_cast<int>(probabilities_.size()), outcome);
}

bool AutoPolicy::learn_from_path(std::span<const DraftNode> nodes, std::span<const int> path,
                                 bool ended) {
  const size_t reached = path.size() + (ended ? 0 : 1);
  for (size_t at = 0; at < reached; ++at) {
    const int parent = at == 0 ? -1 : path[at - 1], accepted = at < path.size() ? path[at] : -1;
    bool any = false;
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (nodes[i].parent != parent) continue;
      any = true;
      (nodes[i].rank == 0 ? state_->calibration(0) : state_->alternatives)
          .observe(nodes[i].confidence, static_cast<int>(i) == accepted);
    }
    if (any) history_.observe(static_cast<int>(at) + 1, 1, accepted >= 0 ? 1 : 0);
    if (any && accepted < 0) return true;
  }
  return false;
}

void AutoPolicy::observe_found(const Found& found, int right, bool wrong) {
  for (int i = 0; i < right; ++i) lookups_.observe(found.match + i, found.near, true);
  if (wrong) lookups_.observe(found.match + right, found.near, false);
}

// Drafts of the chain from this place on, which was reached: they are taken at their word.
void AutoPolicy::observe_unverified(int place) {
  double reached = 1;
  for (size_t i = static_cast<size_t>(place) - 1; i < acceptances_.size(); ++i) {
    history_.observe(static_cast<int>(i) + 1, reached, acceptances_[i]);
    reached *= acceptances_[i];
  }
}

}  // namespace orthrus
