// Drafts as much as pays, and only where it pays: by expected tokens a second.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "decode/calibration.h"
#include "decode/lookup_history.h"
#include "decode/pass_times.h"
#include "decode/policy.h"
#include "decode/tree_history.h"

namespace orthrus {

// How far drafts go in the long run: for each place of a block, how many drafts are accepted there
// of those whose predecessors were.
class AcceptanceHistory {
 public:
  static constexpr int kPlaces = 64;  // places beyond share the last one's

  struct Share {
    double accepted = 0, seen = 0;
  };

  // P(draft `place` accepted | all before it accepted), place 1, 2, ...
  double acceptance(int place) const;
  // Draft `place` was reached with this weight, and accepted with this probability.
  void observe(int place, double weight, double accepted);
  void end_cycle();

 private:
  std::array<Share, kPlaces> places_{};
};

// The same of one text. Its last few cycles, all places together, say whether this stretch of it is
// easier or harder than the long run. What is observed here becomes part of that.
class RecentAcceptance {
 public:
  explicit RecentAcceptance(AcceptanceHistory& history) : history_(&history) {}

  double acceptance(int place) const;
  // The same if drafts 1, 2, ... were accepted as often as this, each given the ones before.
  double acceptance_in_a_stretch_like(std::span<const double> acceptances, int place) const;
  void observe(int place, double weight, double accepted);
  void end_cycle();

 private:
  AcceptanceHistory* history_;
  AcceptanceHistory::Share recent_;
  double expected_ = 0;  // of recent_.seen, what the long run would have had accepted
};

// What policies have learnt, which outlives a request. All sequences that run learn in it together.
struct PolicyState {
  // By drafts of the block that were wrong before, 0, 1, or more: what is left over after a wrong
  // one is less often right than it says.
  std::array<Calibration, 3> calibrations{Calibration(0.97), Calibration(0.7), Calibration(0.7)};
  Calibration alternatives{0.8};  // of a tree: those that a row holds less likely than another one
  AcceptanceHistory history;
  TreeHistory trees;
  LookupHistory lookups;

  Calibration& calibration(int misses) { return calibrations[std::min<size_t>(misses, 2)]; }
  // Of the drafts that are expected to fail, the share that is verified all the same: 0 where
  // probabilities tell exactly which, 1 where they tell nothing; more where others are verified
  // beside them.
  double verified_in_vain = 1;
  int patience = 12;        // plain steps until the next probe, while drafting does not pay
  int64_t plain_steps = 0;  // of all sequences since the last probe
};

// With s_i the probability that drafts 1..i are all accepted, t(r) the time of a pass of r rows and
// t'(r) that of a draft pass, d drafts of which n are verified give
//
//     rate(d, n) = (1 + s_1 + ... + s_n) / (t'(d) + t(n + 1))
//
// tokens a second, and a plain step 1 / t(1). Before the draft, s_i is what recent cycles say, n is
// as many of d as were verified lately, and the best rate decides d. After it, s_i is the product
// of the drafts' own calibrated probabilities. The draft's time is then spent whatever n is: what
// is best over many cycles is the n whose tokens exceed by most what its time would give elsewhere,
// s_1 + ... + s_n - rate * t(n + 1), where rate is the best that is expected.
//
// Drafts that are left over cost no draft pass: n of them are verified in place of a plain step or
// a new block where 1 + s_1 + ... + s_n exceeds rate * t(n + 1), what its time would give
// elsewhere.
//
// So it is with what a lookup found, whose acceptance depends on the match before each draft: of
// the two the one that gains more is verified. Whether it would have been right shows in plain
// steps, too, so that there nothing need be probed.
//
// Of a tree s_1, s_2, ... are the nodes' own, each the product of its path, and nodes join the
// likeliest first: the sum of the first n is again what n of them are expected to give.
//
// Where cycles run whole a tree's size is planned before the draft, too. What n nodes give in all
// places, e(n), their own probabilities in recent trees say, and what recent trees gave in the
// first d places the history: s_1 + ... + s_d, or as much more of larger trees than the usual as
// e(n) is. The less of the two is what is expected.
//
// What was found is then verified in a pass of the host's, for which cycles stop. That has to gain
// a little more, and only one sequence alone does it: others would wait for its passes. A copy that
// breaks off often goes on a few tokens later. So without heads a few more passes follow each
// lookup before cycles go on. Among them a lookup begins for any gain, since no cycle is in flight.
//
// While plain steps are the better choice nothing is learnt of drafts, so now and then a small
// block is drafted as a probe, after 12 plain steps, then after twice as many, and so on to 128, so
// that probing costs at most a percent or two, once at least in a longer generation; a probe that
// would have paid is followed by another at once, and blocks that pay shorten the pause after them.
//
// Where several sequences share passes, all of them are taken to do alike: r rows of one are then
// r * sequences rows of a pass. Drafting then has to promise a little more. They probe as seldom as
// one alone would, by turns, so that a probe is a few rows of a pass and not a pass of its own.
// Where cycles run whole it is one, for which all of them wait, so there they probe less by as
// many.
class AutoPolicy : public Policy {
 public:
  // Starts from what `state` has learnt, and goes on learning in it. `times` are those of the
  // passes that all sequences share, and others see to them. Both must outlive the policy.
  AutoPolicy(PolicyState& state, const PassTimes& times);

  CyclePlan plan(int most, const Leftover& left, const Found& found) override;
  bool needs_probabilities() const override { return true; }
  Verification verified(std::span<const float> probabilities) override;
  void observe_accepted(const Outcome& outcome) override;
  void observe_found(const Found& found, int right, bool wrong) override;
  double acceptance(float confidence, int rank) const override;
  bool goes_on(std::span<const DraftNode> nodes, double reached) override;
  Verification verified_tree(std::span<const float> chain,
                             std::span<const DraftNode> nodes) override;
  void observe_path(std::span<const DraftNode> nodes, std::span<const int> path,
                    bool ended) override;
  WholePlan plan_whole(int most, int most_nodes) override;
  std::optional<CyclePlan> plan_found(int most, int most_nodes, const Found& found) override;
  void observe_whole(const WholePlan& plan, const Outcome& outcome) override;
  void observe_whole_tree(const WholePlan& plan, std::span<const DraftNode> nodes,
                          std::span<const int> path, bool ended) override;
  void share_passes(int sequences) override { sequences_ = std::max(sequences, 1); }

 private:
  struct Block {
    int drafts = 0;
    double rate = 0;      // tokens a second
    int largest = 0;      // drafts of the largest block that is nearly as good
    int nodes = 0;        // of a tree
    double expected = 0;  // accepted, of a tree
  };
  struct Prefix {
    int drafts = 0;
    double expected = 0;  // accepted of them
    double gain = 0;      // in tokens, over spending its time at rate_
  };
  double time(int rows) const { return times_->expected(rows * sequences_); }
  double draft_time(int rows) const { return times_->expected_draft(rows * sequences_); }
  double plain_rate() const { return 1 / time(1); }
  bool pays(const Block& block) const;
  // `rarer`: by how much, than where a probe is a few more rows of passes that run anyway.
  bool probe_is_due(int rarer) const;
  // Of blocks nothing is learnt from one plain step to the next.
  bool waits(int rarer) const {
    return plain_steps_ % state_->patience != 0 && !probe_is_due(rarer);
  }
  void step_plainly();
  void begin_block(bool pays);
  void observe_unverified(int place);
  void end_block(int drafts, const Outcome& outcome);
  // With at least one draft; acceptance(i) is P(draft i accepted | all before it). Of the drafts
  // that are expected to fail, this share is verified.
  template <typename Acceptance>
  Block best_block(int most, double verified_in_vain, Acceptance acceptance) const;
  // Of trees, up to most_nodes_.
  template <typename Acceptance>
  Block best_tree(int most, Acceptance acceptance) const;
  // Of cycles that run whole.
  Block best_whole(int most) const;
  void end_whole(const WholePlan& plan, const Outcome& outcome);
  // Of each place of a tree that was reached: all drafts that were there, and whether one of them
  // was right. True where the path ends before some of which none was.
  bool learn_from_path(std::span<const DraftNode> nodes, std::span<const int> path, bool ended);
  // How many of the cycle's drafts to verify.
  Prefix best_prefix();
  Prefix best_found(const Found& found) const;
  // The first so many, with s_1, s_2, ...
  template <typename Reached>
  Prefix best_prefix(int most, Reached reached) const;
  // What was made of a block's drafts, so many being verified.
  Verification begin_verify(const Prefix& prefix);
  // What a probe says of when to probe again: acceptances of its drafts, each given the ones
  // before, and how many could have been made.
  void learn_from_probe(std::span<const double> acceptances, int most, double verified_in_vain,
                        int most_patience);

  PolicyState* state_;
  RecentAcceptance history_;
  RecentLookups lookups_;
  const PassTimes* times_;
  int sequences_ = 1;
  int plain_steps_ = 0;       // since the last draft
  bool drafts_ = false;       // it has drafted
  bool probe_again_ = false;  // the last probe would have paid
  int last_drafts_ = 1;       // made in the last cycle that drafted
  int passes_left_ = 0;       // of the host's, behind a lookup, before cycles go on
  int most_nodes_ = 0;        // of a tree, where cycles run whole
  double rate_ = 0;           // the best expected when the current cycle began

  // Of the current cycle; where they run whole, of none.
  int most_ = 0;          // drafts that could be made
  bool probing_ = false;  // its block is not expected to pay
  std::vector<float> probabilities_;
  std::vector<double> acceptances_;  // calibrated, each given the ones before
  int misses_ = 0;                   // before them
  bool drafted_ = false;             // they are of a block of this cycle
  std::vector<double> costs_;        // of a tree: [n] of verifying n nodes, in tokens
  AcceptanceTables tables_;          // of the last plan_whole() with trees
};

}  // namespace orthrus
