// Drafts as much as pays, and only where it pays: by expected tokens a second.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "decode/calibration.h"
#include "decode/pass_times.h"
#include "decode/policy.h"

namespace orthrus {

// How far drafts go: for each place of a block, how many drafts are accepted there of those whose
// predecessors were. The long run knows the places; the last few cycles, all places together, say
// whether this stretch of text is easier or harder than that.
class AcceptanceHistory {
 public:
  static constexpr int kPlaces = 64;  // places beyond share the last one's

  // P(draft `place` accepted | all before it accepted), place 1, 2, ...
  double acceptance(int place) const;

  // The same if drafts 1, 2, ... were accepted as often as this, each given the ones before.
  double acceptance_in_a_stretch_like(std::span<const double> acceptances, int place) const;

  // Draft `place` was reached with this weight, and accepted with this probability.
  void observe(int place, double weight, double accepted);
  void end_cycle();

  void begin_sequence();  // another text: what the last few cycles said is forgotten

 private:
  struct Share {
    double accepted = 0, seen = 0;
  };
  double long_run(int place) const;
  std::array<Share, kPlaces> long_{};
  Share recent_;
  double recent_expected_ = 0;  // of recent_.seen, what the long run would have had accepted
};

// What a policy has learnt, which outlives a request.
struct PolicyState {
  // By drafts of the block that were wrong before, 0, 1, or more: what is left over after a wrong
  // one is less often right than it says.
  std::array<Calibration, 3> calibrations{Calibration(0.97), Calibration(0.7), Calibration(0.7)};
  AcceptanceHistory history;

  Calibration& calibration(int misses) { return calibrations[std::min<size_t>(misses, 2)]; }
  // Of the drafts that are expected to fail, the share that is verified all the same: 0 where
  // probabilities tell exactly which, 1 where they tell nothing.
  double verified_in_vain = 1;
  int patience = 12;  // plain steps until the next probe, while drafting does not pay
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
// While plain steps are the better choice nothing is learnt of drafts, so now and then a small
// block is drafted as a probe, after 12 plain steps, then after twice as many, and so on to 128, so
// that probing costs at most a percent or two, once at least in a longer generation; a probe that
// would have paid is followed by another at once.
//
// Where several sequences share passes, all of them are taken to do alike: r rows of one are then
// r * sequences rows of a pass. Drafting then has to promise a little more, and probes are as many
// as of one sequence.
class AutoPolicy : public Policy {
 public:
  // Starts from what `state` has learnt, and goes on learning in it. `times` are those of the
  // passes that all sequences share, and others see to them. Both must outlive the policy.
  AutoPolicy(PolicyState& state, const PassTimes& times);

  CyclePlan plan(int most, const Leftover& left) override;
  bool needs_probabilities() const override { return true; }
  Verification verified(std::span<const float> probabilities) override;
  void observe_accepted(int accepted) override;
  Verification plan_whole(int most) override;
  void observe_whole(int drafts, int accepted) override;
  void share_passes(int sequences) override { sequences_ = std::max(sequences, 1); }

 private:
  struct Block {
    int drafts = 0;
    double rate = 0;  // tokens a second
    int largest = 0;  // drafts of the largest block that is nearly as good
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
  // Together they probe as seldom as one would alone.
  int patience() const { return state_->patience * sequences_; }
  // With at least one draft; acceptance(i) is P(draft i accepted | all before it). Of the drafts
  // that are expected to fail, this share is verified.
  template <typename Acceptance>
  Block best_block(int most, double verified_in_vain, Acceptance acceptance) const;
  // How many of the cycle's drafts to verify.
  Prefix best_prefix();
  // What a probe says of when to probe again: acceptances of its drafts, each given the ones
  // before.
  void learn_from_probe(std::span<const double> acceptances, double verified_in_vain,
                        int most_patience);

  PolicyState* state_;
  const PassTimes* times_;
  int sequences_ = 1;
  int plain_steps_ = 0;   // since the last draft
  bool probing_ = false;  // the block of this cycle, or of one in flight, was not expected to pay
  int last_drafts_ = 1;   // made in the last cycle that drafted
  double rate_ = 0;       // the best expected when the current cycle began

  // Of the current cycle.
  int most_ = 0;  // drafts that could be made
  std::vector<float> probabilities_;
  std::vector<double> acceptances_;  // calibrated, each given the ones before
  int misses_ = 0;                   // before them
  bool drafted_ = false;             // they are of a block of this cycle
  int verified_ = 0;
};

}  // namespace orthrus
