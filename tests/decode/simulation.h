// A simulated clock and simulated drafts: what a policy gives is compared with the best fixed
// choice, and with plain decoding where drafts are worthless.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <utility>
#include <vector>

#include "decode/auto_policy.h"

namespace orthrus::test {

constexpr int kMost = 15;  // drafts of a block

// Seconds of a pass of so many rows.
using Cost = std::function<double(int rows)>;
inline double flat(int) {  // a GPU: weights are read once for all rows
  return 1;
}
inline double linear(int rows) {  // a CPU with no cache to speak of
  return 0.1 + 0.9 * rows;
}
inline double knee(int rows) {  // memory up to 8 rows, then arithmetic
  return std::max(1.0, rows / 8.0);
}
inline double gentle(int rows) {
  return 0.85 + 0.15 * rows;
}

// What drafts are worth: the probability that draft `place` of the cycle at this token is accepted.
using Worth = std::function<double(int token, int place)>;
inline Worth always(double p) {
  return [p](int, int) { return p; };
}

struct Run {
  double seconds = 0;
  int tokens = 0;
  double rate() const { return tokens / seconds; }
};

// What a policy and the passes that it is told of teach.
struct Learnt : PolicyState {
  PassTimes times;
};
struct LearningPolicy : AutoPolicy {
  explicit LearningPolicy(Learnt& learnt) : AutoPolicy(learnt, learnt.times), state(&learnt) {}
  Learnt* state;
};

class Simulation {
 public:
  Simulation(Cost cost, Worth worth, unsigned seed = 1)
      : cost_(std::move(cost)), worth_(std::move(worth)), random_(seed) {}

  // Passes take up to `noise` longer than they should; one in 20 five times as long.
  double noise = 0;
  double draft_ratio = 1;       // of a draft pass's time to another's
  double leftover_worth = 0.5;  // of a draft's worth, that is left after a wrong one before it
  // How sure the diffusion view says it is, given what a draft is worth.
  std::function<float(double)> confidence = [](double p) { return static_cast<float>(p); };

  Run run(Policy& policy, int tokens) {
    Run run;
    std::vector<double> worths;      // of the drafts of the last block, from here on
    std::vector<float> confidences;  // the same as the diffusion view says it
    int misses = 0;
    while (run.tokens < tokens) {
      const int most = std::min(kMost, tokens - run.tokens - 1);
      const auto left = std::min(worths.size(), static_cast<size_t>(most));
      const CyclePlan plan = policy.plan(most, {std::span(confidences).first(left), misses}, {});
      EXPECT_GE(plan.drafts, 0);
      EXPECT_LE(plan.drafts, most);
      EXPECT_GE(plan.leftover, 0);
      EXPECT_LE(plan.leftover, static_cast<int>(left));
      EXPECT_LE(plan.expected_accepted, plan.leftover);
      int verified = plan.leftover;
      if (plan.drafts > 0) {
        pass(policy, run, plan.drafts, true);
        worths.clear();
        confidences.clear();
        misses = 0;
        for (int i = 1; i <= plan.drafts; ++i) {
          worths.push_back(worth_(run.tokens, i));
          confidences.push_back(confidence(worths.back()));
        }
        const Verification chosen = policy.verified(confidences);
        EXPECT_GE(chosen.drafts, 0);
        EXPECT_LE(chosen.drafts, plan.drafts);
        EXPECT_TRUE(std::isfinite(chosen.expected_accepted));
        EXPECT_LE(chosen.expected_accepted, chosen.drafts);
        verified = chosen.drafts;
      }
      pass(policy, run, verified + 1, false);
      // Whether each of the drafts is right, to the first that is not.
      size_t right = 0;
      while (right < worths.size() && right <= static_cast<size_t>(verified) &&
             uniform_(random_) < worths[right]) {
        ++right;
      }
      const int accepted = std::min(static_cast<int>(right), verified);
      policy.observe_accepted({verified, accepted});
      run.tokens += accepted + 1;
      const auto gone = std::min(worths.size(), static_cast<size_t>(accepted) + 1);
      if (gone > 0 && right < gone) ++misses;
      worths.erase(worths.begin(), worths.begin() + static_cast<std::ptrdiff_t>(gone));
      confidences.erase(confidences.begin(),
                        confidences.begin() + static_cast<std::ptrdiff_t>(gone));
      // Of what is left after a wrong draft, less is right than it seems.
      for (double& worth : worths) worth *= right < gone ? leftover_worth : 1;
    }
    return run;
  }

  // The same where a device runs whole cycles, each planned before the last one's drafts are known.
  Run run_whole(Policy& policy, int tokens) {
    Run run;
    WholePlan in_flight = policy.plan_whole(kMost, 0);
    while (run.tokens < tokens) {
      const WholePlan plan = std::exchange(in_flight, policy.plan_whole(kMost, 0));
      const int drafts = plan.drafts;
      EXPECT_GE(drafts, 0);
      EXPECT_LE(drafts, kMost);
      EXPECT_LE(plan.expected_accepted, drafts);
      if (drafts > 0) pass(policy, run, drafts, true);
      pass(policy, run, drafts + 1, false);
      int accepted = 0;
      while (accepted < drafts && uniform_(random_) < worth_(run.tokens, accepted + 1)) ++accepted;
      policy.observe_whole(plan, {drafts, accepted});
      run.tokens += accepted + 1;
    }
    return run;
  }

  // The same with trees. Behind every token some others may follow: with what probability each is
  // right the rows know.
  Run run_trees(Policy& policy, int most_nodes, int tokens) {
    Run run;
    WholePlan in_flight = policy.plan_whole(kMost, most_nodes);
    while (run.tokens < tokens) {
      const WholePlan plan = std::exchange(in_flight, policy.plan_whole(kMost, most_nodes));
      EXPECT_LE(plan.drafts, kMost);
      EXPECT_LE(plan.nodes, most_nodes);
      EXPECT_LE(plan.expected_accepted, plan.drafts);
      if (plan.drafts == 0) {
        pass(policy, run, 1, false);
        policy.observe_whole(plan, {});
        ++run.tokens;
        continue;
      }
      const double worth = worth_(run.tokens, 1);
      const std::vector<DraftNode> nodes = tree_of(policy, worth, plan);
      pass(policy, run, plan.drafts, true);
      pass(policy, run, static_cast<int>(nodes.size()) + 1, false);
      std::vector<int> path;
      for (;;) {
        const int right = right_one(worth);
        const auto next = std::ranges::find_if(nodes, [&](const DraftNode& node) {
          return node.parent == (path.empty() ? -1 : path.back()) && node.rank == right;
        });
        if (next == nodes.end()) break;
        path.push_back(static_cast<int>(next - nodes.begin()));
      }
      policy.observe_whole_tree(plan, nodes, path, false);
      run.tokens += static_cast<int>(path.size()) + 1;
    }
    return run;
  }

 private:
  static constexpr int kChildren = 8;
  // That the child of this rank is right.
  static double worth_of(double worth, int rank) {
    return rank == 0 ? worth : (1 - worth) * std::pow(0.5, rank);
  }
  int right_one(double worth) {
    double left = uniform_(random_);
    for (int rank = 0; rank < kChildren; ++rank) {
      if ((left -= worth_of(worth, rank)) < 0) return rank;
    }
    return kChildren;  // none
  }
  std::vector<DraftNode> tree_of(const Policy& policy, double worth, const WholePlan& plan) const {
    const auto children = [&](int32_t, int, std::vector<DraftChild>& out) {
      for (int rank = 0; rank < kChildren; ++rank) {
        const float sure = confidence(worth_of(worth, rank));
        out.push_back({rank, sure, policy.acceptance(sure, rank)});
      }
    };
    return likeliest_nodes(0, plan.drafts, plan.nodes, children,
                           [](std::span<const DraftNode>, double) { return true; });
  }

  void pass(Policy& policy, Run& run, int rows, bool draft) {
    double seconds = cost_(rows) * (draft ? draft_ratio : 1);
    if (noise > 0) {
      seconds *= 1 + noise * uniform_(random_);
      if (uniform_(random_) < 0.05) seconds *= 5;
    }
    run.seconds += seconds;
    if (const auto* learning = dynamic_cast<LearningPolicy*>(&policy)) {
      learning->state->times.add({seconds * 1e-3, rows, draft});
    }
  }

  Cost cost_;
  Worth worth_;
  std::mt19937 random_;
  std::uniform_real_distribution<double> uniform_;
};

constexpr int kLong = 4000;

inline double rate_of_fixed(const Cost& cost, const Worth& worth, int block) {
  FixedPolicy policy(block);
  return Simulation(cost, worth).run(policy, kLong).rate();
}

inline double rate_of_best_fixed(const Cost& cost, const Worth& worth) {
  double best = 0;
  for (int block = 1; block <= kMost + 1; ++block) {
    best = std::max(best, rate_of_fixed(cost, worth, block));
  }
  return best;
}

}  // namespace orthrus::test
