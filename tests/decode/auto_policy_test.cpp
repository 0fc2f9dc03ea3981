// The policy against a simulated clock and simulated drafts: what it gives compared with the best
// fixed choice, and with plain decoding where drafts are worthless.
#include "decode/auto_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <random>
#include <vector>

namespace orthrus {
namespace {

constexpr int kMost = 15;  // drafts of a block

// Seconds of a pass of so many rows.
using Cost = std::function<double(int rows)>;
double flat(int) {  // a GPU: weights are read once for all rows
  return 1;
}
double linear(int rows) {  // a CPU with no cache to speak of
  return 0.1 + 0.9 * rows;
}
double knee(int rows) {  // memory up to 8 rows, then arithmetic
  return std::max(1.0, rows / 8.0);
}
double gentle(int rows) {
  return 0.85 + 0.15 * rows;
}

// What drafts are worth: the probability that draft `place` of the cycle at this token is accepted.
using Worth = std::function<double(int token, int place)>;
Worth always(double p) {
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

double rate_of_fixed(const Cost& cost, const Worth& worth, int block) {
  FixedPolicy policy(block);
  return Simulation(cost, worth).run(policy, kLong).rate();
}

double rate_of_best_fixed(const Cost& cost, const Worth& worth) {
  double best = 0;
  for (int block = 1; block <= kMost + 1; ++block) {
    best = std::max(best, rate_of_fixed(cost, worth, block));
  }
  return best;
}

TEST(AutoPolicy, ComesCloseToTheBestFixedChoice) {
  const Cost costs[] = {flat, linear, knee, gentle};
  for (size_t c = 0; c < std::size(costs); ++c) {
    for (const double p : {0.0, 0.2, 0.5, 0.7, 0.9, 0.97}) {
      Learnt state;
      LearningPolicy policy(state);
      Simulation simulation(costs[c], always(p));
      simulation.run(policy, 300);  // to learn
      const double rate = simulation.run(policy, kLong).rate();
      const double best = rate_of_best_fixed(costs[c], always(p));
      EXPECT_GT(rate, 0.88 * best) << "cost " << c << ", acceptance " << p;
    }
  }
}

TEST(AutoPolicy, NeverMuchSlowerThanPlainDecodingFromAColdStart) {
  for (const Cost& cost : {Cost(flat), Cost(linear), Cost(knee), Cost(gentle)}) {
    for (const float sure : {0.01f, 0.5f, 0.99f}) {  // whatever the worthless drafts look like
      Learnt state;
      Simulation simulation(cost, always(0));
      simulation.confidence = [sure](double) { return sure; };
      for (int request = 0; request < 8; ++request) {
        LearningPolicy policy(state);
        const double rate = simulation.run(policy, 256).rate() * cost(1);  // plain decoding: 1
        // A verify of a probe, 3 rows, takes 2.8 plain steps if `linear`, otherwise at most 1.3.
        // Overconfidence is learnt once.
        const double least = cost(3) > 2 * cost(1)         ? 0.92
                             : request == 0 && sure > 0.9f ? 0.95
                                                           : 0.97;
        EXPECT_GT(rate, least) << "request " << request << ", sure " << sure << ", 3 rows "
                               << cost(3);
      }
    }
  }
}

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

TEST(AutoPolicy, FollowsATextFromEasyToHardAndBack) {
  const auto worth = [](int token, int) { return token / 300 % 2 == 0 ? 0.9 : 0.02; };
  Learnt state;
  LearningPolicy policy(state);
  const double rate = Simulation(gentle, worth).run(policy, 3000).rate();
  // What knowing the stretches would give: the best of each for the tokens of each.
  const double easy = rate_of_best_fixed(gentle, always(0.9));
  const double known = 2 / (1 / easy + 1 / 1.0);
  EXPECT_GT(rate, 0.85 * known);
}

// Drafts after a wrong one that are right all the same cost no draft pass, and where the first of
// them is hardly ever right, verifying them is left alone.
TEST(AutoPolicy, VerifiesWhatIsLeftOverWhereThatPays) {
  // One token in five cannot be drafted; the rest is easy, also once that token is known.
  std::mt19937 random(3);
  std::vector<double> of_token(2 * kLong);
  for (double& p : of_token) p = random() % 5 == 0 ? 0.0 : 0.98;
  const auto worth = [&](int token, int place) { return of_token[token + place]; };
  const auto rate = [&](double leftover_worth) {
    Learnt state;
    LearningPolicy policy(state);
    Simulation simulation(gentle, worth);
    simulation.leftover_worth = leftover_worth;
    simulation.run(policy, 500);
    return simulation.run(policy, kLong).rate();
  };
  const double best = rate_of_best_fixed(gentle, worth);
  EXPECT_GT(rate(1), 1.05 * best);
  EXPECT_GT(rate(0), 0.95 * best);
}

// A text that quotes itself, every third stretch: what is found there is right, elsewhere it is
// not. `quotes`: of a text of many requests, whether this one does.
double rate_with_lookup(Learnt& state, const Cost& cost, bool quotes) {
  LearningPolicy policy(state);
  double seconds = 0;
  int tokens = 0, match = 2;
  while (tokens < 600) {
    const Found found{31, match};
    const CyclePlan plan = policy.plan(0, {}, found);
    EXPECT_EQ(plan.drafts + plan.leftover, 0);
    EXPECT_LE(plan.lookup, found.drafts);
    EXPECT_LE(plan.expected_accepted, plan.lookup);
    seconds += cost(plan.lookup + 1);
    state.times.add({cost(plan.lookup + 1) * 1e-3, plan.lookup + 1, false});
    const int till_wrong = quotes ? 39 - tokens % 40 : 0;
    const int accepted = std::min(till_wrong, plan.lookup);
    policy.observe_accepted({plan.lookup, accepted});
    const int seen = accepted + 1;
    const int right = std::min({till_wrong, found.drafts, seen});
    policy.observe_found(found, right, right < seen);
    tokens += seen;
    match = right < seen ? 2 : std::min(match + seen, 32);
  }
  return tokens / seconds;
}

TEST(AutoPolicy, VerifiesWhatIsFoundWhereATextQuotesItself) {
  for (const Cost& cost : {Cost(flat), Cost(knee), Cost(gentle), Cost(linear)}) {
    Learnt state;
    for (int rows : {1, 1, 1, 32}) state.times.add({cost(rows) * 1e-3, rows, false});
    const bool pays = cost(16) < 8 * cost(1);
    for (int request = 0; request < 6; ++request) {
      const double plain = 1 / cost(1);
      if (pays) {
        EXPECT_GT(rate_with_lookup(state, cost, true), 2 * plain) << request;
      }
      EXPECT_GT(rate_with_lookup(state, cost, false), (request == 0 ? 0.95 : 0.97) * plain)
          << request << ", 16 rows " << cost(16);
    }
  }
}

// Of what is left over and what was found the one that promises more is verified, and neither
// where a pass of its rows costs more.
TEST(AutoPolicy, ChoosesBetweenWhatIsLeftOverAndWhatWasFound) {
  Learnt state;
  for (const int rows : {1, 1, 1, 2, 4, 8, 16, 32}) state.times.add({1e-3, rows, false});
  LearningPolicy policy(state);
  const std::vector<float> sure(10, 0.99f), unsure(10, 0.1f);
  EXPECT_GT(policy.plan(kMost, {unsure, 0}, {20, 32}).lookup, 10);
  EXPECT_GT(policy.plan(kMost, {sure, 0}, {20, 2}).leftover, 5);
  Learnt dear;
  for (const int rows : {1, 1, 1, 2, 32}) dear.times.add({rows * 1e-3, rows, false});
  EXPECT_EQ(LearningPolicy(dear).plan(kMost, {}, {20, 32}).lookup, 0);
}

// The probabilities tell where the first wrong draft is, which a fixed choice cannot know.
TEST(AutoPolicy, VerifiesUpToWhatTheDraftsSay) {
  std::mt19937 random(3);
  std::vector<double> of_token(2 * kLong);
  for (double& p : of_token) p = random() % 6 == 0 ? 0.02 : 0.98;
  const auto worth = [&](int token, int place) { return of_token[token + place]; };
  Learnt state;
  LearningPolicy policy(state);
  const double rate = Simulation(gentle, worth).run(policy, kLong).rate();
  EXPECT_GT(rate, 0.9 * rate_of_best_fixed(gentle, worth));

  int drafts = 0;
  for (int steps = 0; drafts < 4 && steps < 200; ++steps) {
    drafts = policy.plan(kMost, {}, {}).drafts;
    if (drafts > 0 && drafts < 4) policy.verified(std::vector<float>(drafts, 0.98f));
    if (drafts < 4) policy.observe_accepted({drafts, drafts});
  }
  ASSERT_GE(drafts, 4);
  EXPECT_EQ(policy.verified(std::vector{0.98f, 0.98f, 0.02f, 0.98f}).drafts, 2);
  EXPECT_EQ(policy.verified(std::vector{0.02f, 0.98f, 0.98f, 0.98f}).drafts, 0);
  EXPECT_EQ(policy.verified(std::vector{0.98f, 0.98f, 0.98f, 0.98f}).drafts, 4);
}

TEST(AutoPolicy, LearnsWhatOverconfidenceIsWorth) {
  Learnt state;
  LearningPolicy policy(state);
  Simulation simulation(gentle, always(0.5));
  simulation.confidence = [](double) { return 0.999f; };
  simulation.run(policy, 500);
  EXPECT_NEAR(state.calibrations[0].acceptance(0.999f), 0.5, 0.2);
  EXPECT_GT(simulation.run(policy, kLong).rate(), 0.95 * rate_of_best_fixed(gentle, always(0.5)));
}

// What was drafted behind a token that ends the text was not compared: nothing is learnt of it.
TEST(AutoPolicy, ATextThatEndsSaysNothingOfTheDraftsBehindItsLastToken) {
  constexpr float kSure = 0.92f, kLess = 0.55f;
  // A chain, and a branch beside its second node.
  const std::vector<DraftNode> nodes{{.rank = 0, .confidence = kSure, .reached = 0.9},
                                     {.parent = 0, .depth = 2, .confidence = kLess, .reached = 0.6},
                                     {.parent = 0, .depth = 2, .rank = 1, .confidence = kLess}};
  const std::vector<float> chain{kSure, kLess};
  const std::vector<int> path{0};
  struct Told {
    double second = 0, left_over = 0, others = 0, place = 0;
    auto operator<=>(const Told&) const = default;
  };
  const auto told = [](const Learnt& learnt) {
    return Told{learnt.calibrations[0].acceptance(kLess), learnt.calibrations[1].acceptance(kLess),
                learnt.alternatives.acceptance(kLess), learnt.history.acceptance(2)};
  };
  using Tell = std::function<void(AutoPolicy&, bool ended)>;
  const auto draft = [](AutoPolicy& policy) {
    for (int step = 0; step < 100; ++step) {
      if (policy.plan(kMost, {}, {}).drafts > 0) return true;
      policy.observe_accepted({});
    }
    return false;
  };
  const std::pair<const char*, Tell> kTold[] = {
      {"a block",
       [&](AutoPolicy& policy, bool ended) {
         ASSERT_TRUE(draft(policy));
         policy.verified(chain);
         policy.observe_accepted({2, 1, ended});
       }},
      {"what was left over",
       [&](AutoPolicy& policy, bool ended) {
         ASSERT_GT(policy.plan(kMost, {chain, 1}, {}).leftover, 0);
         policy.observe_accepted({2, 1, ended});
       }},
      {"a tree",
       [&](AutoPolicy& policy, bool ended) {
         ASSERT_TRUE(draft(policy));
         policy.verified_tree(chain, nodes);
         policy.observe_path(nodes, path, ended);
       }},
      {"a whole cycle",
       [&](AutoPolicy& policy, bool ended) {
         policy.observe_whole({.drafts = 2}, {2, 1, ended});
       }},
      {"a whole cycle's tree",
       [&](AutoPolicy& policy, bool ended) {
         policy.observe_whole_tree({.drafts = 2}, nodes, path, ended);
       }},
  };
  for (const auto& [what, tell] : kTold) {
    SCOPED_TRACE(what);
    Learnt before, ended, goes_on;
    for (Learnt* learnt : {&ended, &goes_on}) {
      for (int rows : {1, 1, 1, 32}) learnt->times.add({1e-3, rows, false});
      LearningPolicy policy(*learnt);
      tell(policy, learnt == &ended);
    }
    const Told at_first = told(before), then = told(ended), otherwise = told(goes_on);
    EXPECT_EQ(then.second, at_first.second);
    EXPECT_EQ(then.left_over, at_first.left_over);
    EXPECT_EQ(then.others, at_first.others);
    EXPECT_GE(then.place, at_first.place);  // the first place was right
    EXPECT_LE(otherwise.place, then.place);
    EXPECT_NE(otherwise, then);
  }
}

TEST(AutoPolicy, SurvivesANoisyClock) {
  for (const double p : {0.05, 0.9}) {
    Learnt state;
    LearningPolicy policy(state);
    Simulation noisy(gentle, always(p), 7);
    noisy.noise = 0.2;
    noisy.run(policy, 500);
    // Its choices, on a clock without noise.
    const double rate = Simulation(gentle, always(p)).run(policy, 2000).rate();
    EXPECT_GT(rate, 0.93 * rate_of_best_fixed(gentle, always(p))) << p;
  }
}

TEST(AutoPolicy, SeveralSequencesShareThePass) {
  // Rows of all sequences are arithmetic beyond 8: one sequence drafts, eight together do not.
  for (const auto& [sequences, drafts] : {std::pair{1, true}, std::pair{8, false}}) {
    Learnt state;
    LearningPolicy policy(state);
    int cycles_with_drafts = 0;
    for (int cycle = 0; cycle < 200; ++cycle) {
      const auto pass = [&, s = sequences](int rows, bool draft) {
        state.times.add({knee(rows * s) * 1e-3, rows * s, draft});
        policy.share_passes(s);
      };
      const int d = policy.plan(kMost, {}, {}).drafts;
      int n = 0;
      if (d > 0) {
        pass(d, true);
        n = policy.verified(std::vector<float>(static_cast<size_t>(d), 0.7f)).drafts;
        ++cycles_with_drafts;
      }
      pass(n + 1, false);
      policy.observe_accepted({n, std::min(n, cycle % 5)});
    }
    EXPECT_EQ(cycles_with_drafts > 100, drafts) << sequences << ": " << cycles_with_drafts;
  }
}

// Where rows cost in proportion, and drafts are worth little. What one probe says they all know.
TEST(AutoPolicy, SequencesThatShareThePassProbeByTurns) {
  constexpr int kSequences = 8, kPasses = 190;
  Learnt state;
  std::vector<LearningPolicy> policies(kSequences, LearningPolicy(state));
  std::vector<int> drafting(kSequences), probes(kSequences);
  for (int pass = 0; pass < kPasses; ++pass) {
    int rows = 0, at_once = 0;
    for (int i = 0; i < kSequences; ++i) {
      LearningPolicy& policy = policies[i];
      policy.share_passes(kSequences);
      int verified = 0;
      if (drafting[i] > 0) {  // the pass that verifies
        verified =
            policy.verified(std::vector<float>(static_cast<size_t>(drafting[i]), 0.1f)).drafts;
        rows += verified;
        drafting[i] = 0;
      } else {
        drafting[i] = policy.plan(kMost, {}, {}).drafts;
        probes[i] += drafting[i] > 0;
        at_once += drafting[i] > 0;
      }
      rows += std::max(drafting[i], 1);
      if (drafting[i] == 0) policy.observe_accepted({verified, 0});
    }
    EXPECT_LE(at_once, 1) << "pass " << pass;
    state.times.add({linear(rows) * 1e-3, rows, false});
  }
  EXPECT_EQ(*std::ranges::max_element(probes), 1);
  const int all = std::accumulate(probes.begin(), probes.end(), 0);
  EXPECT_GE(all, 3);
  EXPECT_LE(all, 6);
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
    const CyclePlan plan = policy.plan_found(most, 0, found);
    EXPECT_LE(plan.expected_accepted, plan.lookup);
    return plan.lookup;
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

TEST(AutoPolicy, BeginsWithWhatDraftsAreUsuallyWorth) {
  constexpr unsigned kSeeds = 40;
  double rates = 0;
  for (unsigned seed = 0; seed < kSeeds; ++seed) {
    Learnt state;
    for (int i = 0; i < 3; ++i) state.times.add({gentle(1) * 1e-3, 1, false});
    state.times.add({gentle(50) * 1e-3, 50, false});  // a prompt
    LearningPolicy policy(state);
    rates += Simulation(gentle, always(0.9), seed).run(policy, 60).rate() / kSeeds;
  }
  EXPECT_GT(rates, 1.23);
}

TEST(PassTimes, MediansInterpolationAndLargerPassesThatTookLess) {
  PassTimes times;
  EXPECT_EQ(times.expected(4), 0);
  times.add({1.0, 2});
  EXPECT_EQ(times.seen(2), 1);
  EXPECT_EQ(times.expected(1), 1.0);
  EXPECT_EQ(times.expected(4), 2.0);  // in proportion
  times.add({3.0, 10});
  EXPECT_DOUBLE_EQ(times.expected(6), 2.0);
  for (const double outlier : {1.0, 50.0, 1.0, 1.0}) times.add({outlier, 2});
  EXPECT_EQ(times.expected(2), 1.0);
  times.add({9.0, 5});  // while ten rows take 3
  EXPECT_LE(times.expected(5), 3.0);
  times.add({40.0, 100000});
  EXPECT_GT(times.expected(200), 3.0);
  EXPECT_LE(times.expected(2000000), 40.0);
}

TEST(PassTimes, OfDraftsAndOtherPassesStandInForEachOther) {
  PassTimes times;
  times.add({1.0, 1});
  times.add({5.0, 9, /*draft=*/true});  // nothing says yet that drafts are cheaper or dearer
  EXPECT_DOUBLE_EQ(times.expected(9), 5.0);
  EXPECT_DOUBLE_EQ(times.expected(5), 3.0);
  EXPECT_DOUBLE_EQ(times.expected_draft(5), 3.0);
  EXPECT_EQ(times.seen(9), 0);
  times.add({10.0, 9});
  EXPECT_DOUBLE_EQ(times.expected(9), 10.0);
  EXPECT_DOUBLE_EQ(times.expected_draft(9), 5.0);
  EXPECT_DOUBLE_EQ(times.expected_draft(1), 0.5);
  EXPECT_DOUBLE_EQ(times.expected(1), 1.0);
}

// Half of the drafts are accepted, and up to eight rows cost as much as one: two passes for two
// tokens do not pay, but where the draft pass takes a third of the other they do.
TEST(AutoPolicy, CheapDraftsAreMadeWhereDearOnesAreNot) {
  for (const auto& [ratio, drafts] : {std::pair{1.0, false}, std::pair{0.33, true}}) {
    Learnt state;
    LearningPolicy policy(state);
    Simulation simulation(knee, always(0.5));
    simulation.draft_ratio = ratio;
    simulation.run(policy, 300);  // to learn
    const double rate = simulation.run(policy, kLong).rate();
    const double plain = rate_of_fixed(knee, always(0.5), 1);
    if (drafts) {
      EXPECT_GT(rate, 1.3 * plain);
    } else {
      EXPECT_GT(rate, 0.95 * plain);
      EXPECT_LT(rate, 1.1 * plain);
    }
  }
}

// Rows that each hold the right token with `first` likeliest, and of the rest mostly second or
// third likeliest, drafted as trees of up to `most` nodes. Each node takes its time to make.
double rate_of_trees(const Cost& cost, double first, int most, double seconds_a_node, int tokens,
                     unsigned seed = 1) {
  const std::vector<double> shares{first, 0.6 * (1 - first), 0.25 * (1 - first)};
  Learnt state;
  for (int i = 0; i < 3; ++i) state.times.add({cost(1) * 1e-3, 1, false});
  std::mt19937 random(seed);
  std::discrete_distribution<int> right({shares[0], shares[1], shares[2], 0.15 * (1 - first)});
  LearningPolicy policy(state);
  double seconds = 0;
  const auto pass = [&](int rows, bool draft, double beside) {
    seconds += cost(rows) + beside;
    state.times.add({(cost(rows) + beside) * 1e-3, rows, draft});
  };
  int done = 0;
  const auto run_to = [&](int end) {
    while (done < end) {
      const int depth = policy.plan(kMost, {}, {}).drafts;
      if (depth == 0) {
        pass(1, false, 0);
        policy.observe_accepted({});
        ++done;
        continue;
      }
      const std::vector<float> chain(static_cast<size_t>(depth), static_cast<float>(first));
      std::vector<DraftNode> nodes;
      if (most == 0) {  // chains
        const int n = policy.verified(chain).drafts;
        pass(depth, true, 0);
        int accepted = 0;
        while (accepted < n && right(random) == 0) ++accepted;
        pass(n + 1, false, 0);
        policy.observe_accepted({n, accepted});
        done += accepted + 1;
        continue;
      }
      int made = 0;
      nodes = likeliest_nodes(
          0, depth, most - 1,
          [&](int32_t, int, std::vector<DraftChild>& out) {
            ++made;
            for (size_t rank = 0; rank < shares.size(); ++rank) {
              const auto confidence = static_cast<float>(shares[rank]);
              out.push_back({static_cast<int32_t>(rank), confidence,
                             policy.acceptance(confidence, static_cast<int>(rank))});
            }
          },
          [&](std::span<const DraftNode> so_far, double reached) {
            return policy.goes_on(so_far, reached);
          });
      EXPECT_LT(nodes.size(), most);
      pass(depth, true, made * seconds_a_node);
      const Verification chosen = policy.verified_tree(chain, nodes);
      EXPECT_LE(chosen.drafts, static_cast<int>(nodes.size()));
      nodes.resize(static_cast<size_t>(chosen.drafts));
      std::vector<int> path;
      for (int node = -1;;) {
        const int rank = right(random);
        int next = -1;
        for (size_t i = 0; i < nodes.size(); ++i) {
          if (nodes[i].parent == node && nodes[i].rank == rank) next = static_cast<int>(i);
        }
        if (next < 0) break;
        path.push_back(node = next);
      }
      pass(chosen.drafts + 1, false, 0);
      policy.observe_path(nodes, path, false);
      done += static_cast<int>(path.size()) + 1;
    }
  };
  run_to(300);  // to learn
  const double began = seconds;
  const int before = done;
  run_to(before + tokens);
  return (done - before) / (seconds - began);
}

TEST(AutoPolicy, TreesAreBetterThanChainsWhereRowsAreCheapAndNowhereMuchWorse) {
  for (const double first : {0.3, 0.5, 0.7, 0.9}) {
    for (const Cost& cost : {Cost(flat), Cost(knee), Cost(gentle), Cost(linear)}) {
      const double chains = rate_of_trees(cost, first, 0, 0, kLong);
      const double trees = rate_of_trees(cost, first, 128, 0, kLong);
      EXPECT_GT(trees, 0.94 * chains) << first << ", 16 rows " << cost(16);
      EXPECT_GT(trees * cost(1), 0.96) << first << ", 16 rows " << cost(16);  // of plain decoding
    }
    EXPECT_GT(rate_of_trees(flat, first, 128, 0, kLong),
              1.15 * rate_of_trees(flat, first, 0, 0, kLong))
        << first;
  }
}

// What nodes take to be made is the draft's time: where it is much, fewer blocks are drafted, or
// none.
TEST(AutoPolicy, TreesThatTakeLongToMakeAreNotMade) {
  for (const double seconds_a_node : {0.01, 0.1, 1.0, 10.0}) {
    for (const double first : {0.3, 0.9}) {
      EXPECT_GT(rate_of_trees(knee, first, 128, seconds_a_node, kLong) * knee(1), 0.9)
          << seconds_a_node << ", " << first;
    }
  }
}

TEST(AutoPolicy, ATreeGrowsAsLongAsItsNodesArePaidFor) {
  // Eight rows cost what one does, sixteen twice that.
  Learnt state;
  for (int rows = 1; rows <= 32; ++rows) {
    for (int i = 0; i < 3; ++i) state.times.add({knee(rows) * 1e-3, rows, false});
  }
  LearningPolicy policy(state);
  ASSERT_EQ(policy.plan(kMost, {}, {31, 2}).drafts, 0);  // and the best rate is known now
  std::vector<DraftNode> nodes;
  for (int n = 0; n < 7; ++n) {
    EXPECT_TRUE(policy.goes_on(nodes, 0.01)) << n;  // there is room in the pass
    nodes.push_back({.reached = 0.01});
  }
  EXPECT_FALSE(policy.goes_on(nodes, 0.01));
  EXPECT_TRUE(policy.goes_on(nodes, 0.9));
}

TEST(Calibration, BeginsWithWhatIsSaidAndLearns) {
  Calibration calibration;
  for (const float p : {0.0f, 0.2f, 0.5f, 0.85f, 1.0f}) {
    EXPECT_NEAR(calibration.acceptance(p), p, 0.1) << p;
  }
  for (int i = 0; i < 300; ++i) calibration.observe(0.5f, i % 4 == 0);
  EXPECT_NEAR(calibration.acceptance(0.5f), 0.25, 0.05);
  EXPECT_NEAR(calibration.acceptance(0.95f), 0.95, 0.1);
}

}  // namespace
}  // namespace orthrus
