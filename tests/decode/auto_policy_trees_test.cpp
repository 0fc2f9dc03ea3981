// The policy where drafts are trees, in passes.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "decode/simulation.h"

namespace orthrus::test {
namespace {

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

}  // namespace
}  // namespace orthrus::test
