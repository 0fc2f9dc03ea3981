// The policy in passes, one cycle after the other.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "decode/simulation.h"

namespace orthrus::test {
namespace {

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

}  // namespace
}  // namespace orthrus::test
