// The policy where a device runs whole cycles, each planned before the last one has landed.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "decode/simulation.h"

namespace orthrus::test {
namespace {

TEST(AutoPolicy, WholeCyclesComeCloseToTheBestFixedChoice) {
  for (const double p : {0.0, 0.2, 0.5, 0.7, 0.9, 0.97}) {
    Learnt state;
    LearningPolicy policy(state);
    Simulation simulation(flat, always(p));
    simulation.run_whole(policy, 300);  // to learn
    const double rate = simulation.run_whole(policy, kLong).rate();
    EXPECT_GT(rate, 0.93 * rate_of_best_fixed(flat, always(p))) << "acceptance " << p;
  }
}

TEST(AutoPolicy, WholeCyclesAreNeverMuchSlowerThanPlainDecoding) {
  Learnt state;
  Simulation simulation(flat, always(0));
  for (int request = 0; request < 8; ++request) {
    LearningPolicy policy(state);
    EXPECT_GT(simulation.run_whole(policy, 256).rate(), request == 0 ? 0.95 : 0.97) << request;
  }
}

TEST(AutoPolicy, WholeCyclesFollowATextFromEasyToHardAndBack) {
  const auto worth = [](int token, int) { return token / 300 % 2 == 0 ? 0.9 : 0.02; };
  Learnt state;
  LearningPolicy policy(state);
  const double rate = Simulation(flat, worth).run_whole(policy, 3000).rate();
  const double known = 2 / (1 / rate_of_best_fixed(flat, always(0.9)) + 1 / 1.0);
  EXPECT_GT(rate, 0.8 * known);
}

// What a pass takes on a device: its memory's time, until some dozens of rows fill it.
double device(int rows) {
  return std::max(1.0, 0.9 + rows / 200.0);
}

class FixedTrees final : public FixedPolicy {
 public:
  FixedTrees(int drafts, int nodes) : FixedPolicy(drafts + 1), plan_{drafts, nodes} {}
  WholePlan plan_whole(int, int) override { return plan_; }

 private:
  WholePlan plan_;
};

double rate_of_best_tree(const Cost& cost, const Worth& worth) {
  double best = 1 / cost(1);
  for (const int drafts : {2, 4, 8, kMost}) {
    for (const int nodes : {3, 7, 15, 31, 63, 127}) {
      FixedTrees policy(drafts, nodes);
      best = std::max(best, Simulation(cost, worth).run_trees(policy, 127, kLong).rate());
    }
  }
  return best;
}

TEST(AutoPolicy, WholeTreesComeCloseToTheBestFixedOnes) {
  for (const Cost& cost : {Cost(device), Cost(gentle), Cost(knee)}) {
    for (const double p : {0.0, 0.3, 0.6, 0.8, 0.95}) {
      Learnt state;
      state.times.add({cost(300) * 1e-3, 300, false});  // a prompt
      LearningPolicy policy(state);
      Simulation simulation(cost, always(p));
      simulation.run_trees(policy, 127, 400);  // to learn
      const double rate = simulation.run_trees(policy, 127, kLong).rate();
      EXPECT_GT(rate, 0.9 * rate_of_best_tree(cost, always(p)))
          << "acceptance " << p << ", 32 rows " << cost(32);
    }
  }
}

// As many rows as several sequences have together; each of them sees what the pass takes.
TEST(AutoPolicy, WholeTreesShrinkWhereManySharePasses) {
  int before = kMostTreeNodes;
  for (const int sequences : {1, 4, 16, 64}) {
    Learnt state;
    for (const int rows : {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096}) {
      for (int i = 0; i < 3; ++i) {
        state.times.add({device(rows) * 1e-3, rows, false});
        state.times.add({device(rows) * 1e-3, rows, true});
      }
    }
    LearningPolicy policy(state);
    policy.share_passes(sequences);
    const int nodes = policy.plan_whole(kMost, 127).nodes;
    EXPECT_LE(nodes, before) << sequences << " sequences";
    before = nodes;
  }
  EXPECT_LE(before, 3);
}

// Where cycles run whole a pass has to gain more than a tree's, and as one sequence alone.
TEST(AutoPolicy, LeavesWholeCyclesForWhatGainsMore) {
  const auto lookup = [](const Cost& cost, double worth, int most, const Found& found,
                         int sequences = 1) {
    Learnt state;
    for (int rows = 1; rows <= 32; ++rows) {
      for (int i = 0; i < 3; ++i) {
        state.times.add({cost(rows), rows, false});
        state.times.add({cost(rows), rows, true});
      }
    }
    LearningPolicy policy(state);
    for (int i = 0; i < 200 && most > 0; ++i) {
      const WholePlan plan = policy.plan_whole(most, 0);
      policy.observe_whole(plan, {plan.drafts, std::min(plan.drafts, static_cast<int>(worth))});
    }
    policy.share_passes(sequences);
    const std::optional<CyclePlan> plan = policy.plan_found(most, 0, found);
    if (!plan) return 0;
    EXPECT_GT(plan->lookup, 0);
    EXPECT_LE(plan->expected_accepted, plan->lookup);
    return plan->lookup;
  };
  const Found sure{31, 32}, doubtful{31, 2};
  EXPECT_GT(lookup(flat, 0, 0, sure), 20);  // no block to compare with
  EXPECT_GT(lookup(flat, 5, kMost, sure), 20);
  EXPECT_EQ(lookup(flat, 15, kMost, {8, 32}), 0);  // blocks give as much
  EXPECT_EQ(lookup(flat, 5, kMost, doubtful), 0);
  EXPECT_EQ(lookup(linear, 0, 0, doubtful), 0);
  EXPECT_EQ(lookup(flat, 0, 0, {}), 0);
  EXPECT_EQ(lookup(flat, 0, 0, sure, 2), 0);
}

// Without heads the next few tokens behind a lookup are passes' too. Among them a lookup begins for
// any gain, since no cycle is in flight.
TEST(AutoPolicy, PassesFollowALookupBeforeCyclesGoOn) {
  Learnt state;
  for (int rows = 1; rows <= 32; ++rows) {
    for (int i = 0; i < 3; ++i) state.times.add({1e-3 * (1 + 0.02 * rows), rows, false});
  }
  const Found none, sure{31, 32}, doubtful{1, 2};
  LearningPolicy policy(state);
  const auto run = [&](const Found& found, int most = 0) {
    const std::optional<CyclePlan> plan = policy.plan_found(most, 0, found);
    if (!plan) return -1;  // a cycle
    policy.observe_accepted({plan->lookup, plan->lookup});
    return plan->lookup;
  };
  EXPECT_EQ(run(none), -1);
  EXPECT_EQ(run(doubtful), -1);
  for (const bool again : {false, true}) {
    EXPECT_GT(run(sure), 0);
    EXPECT_EQ(run(none, kMost), -1);
    EXPECT_EQ(run(none), 0);
    if (again) {
      EXPECT_EQ(run(doubtful), 1);
    }
    int passes = again ? 0 : 1;
    while (passes < 9 && run(none) == 0) ++passes;
    EXPECT_EQ(passes, 4);
    EXPECT_EQ(run(doubtful), -1);
  }
  EXPECT_GT(run(sure), 0);
  policy.share_passes(2);
  EXPECT_EQ(run(none), -1);
  policy.observe_whole(policy.plan_whole(0, 0), {});
  policy.share_passes(1);
  EXPECT_EQ(run(none), -1);  // it was in cycles since
}

// There a probe of one has all others wait for its draft pass.
TEST(AutoPolicy, WholeCyclesOfManySequencesProbeSeldom) {
  constexpr int kSequences = 8;
  Learnt state;
  for (int i = 0; i < 3; ++i) state.times.add({1e-3, kSequences, false});
  state.times.add({8e-3, 8 * kSequences, false});
  std::vector<LearningPolicy> policies(kSequences, LearningPolicy(state));
  int probes = 0;
  for (int cycle = 0; cycle < 280; ++cycle) {
    for (LearningPolicy& policy : policies) {
      policy.share_passes(kSequences);
      const WholePlan plan = policy.plan_whole(kMost, 0);
      policy.observe_whole(plan, {plan.drafts, 0});
      probes += plan.drafts > 0;
    }
  }
  EXPECT_GE(probes, 1);
  EXPECT_LE(probes, 2);  // after 12 cycles of each, by as many as there are, and then after 24
}

// Of two cycles in flight the second one is a probe: what the first one gives is not its result.
TEST(AutoPolicy, AProbeIsJudgedByItsOwnCycle) {
  constexpr int kSequences = 2;
  Learnt state;
  for (int rows = 1; rows <= 2 * (kMost + 1); ++rows) {
    for (int i = 0; i < 3; ++i) state.times.add({1e-3, rows, false});
  }
  LearningPolicy policy(state), other(state);
  for (LearningPolicy* each : {&policy, &other}) each->share_passes(kSequences);
  const WholePlan first = policy.plan_whole(kMost, 0);
  ASSERT_GT(first.drafts, 0);
  ASSERT_FALSE(first.probe);
  // The other one's text says that drafts are worth nothing, and it steps plainly, until a probe is
  // due.
  for (int i = 0; i < 50; ++i) other.observe_whole({.drafts = kMost}, {kMost, 0});
  for (int i = 0; i < 1000 && state.plain_steps < state.patience * kSequences * kSequences; ++i) {
    const WholePlan plan = other.plan_whole(kMost, 0);
    other.observe_whole(plan, {plan.drafts, 0});
  }
  const WholePlan probe = policy.plan_whole(kMost, 0);
  ASSERT_TRUE(probe.probe);
  const int patience = state.patience;
  policy.observe_whole(first, {first.drafts, first.drafts});
  EXPECT_EQ(state.patience, patience / 2);  // a block that paid, and no more
  policy.observe_whole(probe, {probe.drafts, 0});
  EXPECT_EQ(state.patience, patience);
}

}  // namespace
}  // namespace orthrus::test
