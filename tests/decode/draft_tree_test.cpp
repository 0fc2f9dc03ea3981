#include "decode/draft_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "support/fresh_seed.h"

namespace orthrus {
namespace {

using Path = std::vector<int32_t>;
const TreeGoesOn kAlways = [](std::span<const DraftNode>, double) { return true; };

class DraftTree : public testing::Test {
 protected:
  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }

  // What may follow: made up for each (row, token before) once, so that it depends on both.
  const std::vector<DraftChild>& children(int32_t before, int row) {
    auto& known = children_[{row, before}];
    if (!known.empty()) return known;
    double left = 1;
    for (int i = 0; i < breadth_; ++i) {
      const double share = std::uniform_real_distribution<double>(0, left)(random_);
      left -= share;
      known.push_back({row * 10 + i, static_cast<float>(share), share});
    }
    std::ranges::sort(known, std::ranges::greater(), &DraftChild::acceptance);
    return known;
  }
  DraftChildren source() {
    return [this](int32_t before, int row, std::vector<DraftChild>& out) {
      out = children(before, row);
    };
  }
  static Path path_of(const std::vector<DraftNode>& nodes, int node) {
    Path path;
    for (; node >= 0; node = nodes[static_cast<size_t>(node)].parent) {
      path.insert(path.begin(), nodes[static_cast<size_t>(node)].token);
    }
    return path;
  }

  std::mt19937 random_{test::fresh_seed()};
  int breadth_ = 3;
  std::map<std::pair<int, int32_t>, std::vector<DraftChild>> children_;
};

TEST_F(DraftTree, HasTheLikeliestOfAllPaths) {
  for (int trial = 0; trial < 100; ++trial) {
    children_.clear();
    breadth_ = pick(1, 4);
    const int depth = pick(1, 5), most = pick(1, 60);
    // All paths there are, by how likely they are to be accepted.
    std::vector<std::pair<double, Path>> all;
    const auto walk = [&](const auto& self, const Path& path, double reached) -> void {
      if (static_cast<int>(path.size()) == depth) return;
      const int32_t before = path.empty() ? 7 : path.back();
      for (const DraftChild& child : children(before, static_cast<int>(path.size()))) {
        Path longer = path;
        longer.push_back(child.token);
        all.push_back({reached * child.acceptance, longer});
        self(self, longer, reached * child.acceptance);
      }
    };
    walk(walk, {}, 1);
    std::ranges::stable_sort(all, std::ranges::greater(), &std::pair<double, Path>::first);

    const std::vector<DraftNode> nodes = likeliest_nodes(7, depth, most, source(), kAlways);
    ASSERT_EQ(nodes.size(), std::min(all.size(), static_cast<size_t>(most)));
    std::set<Path> seen;
    for (size_t i = 0; i < nodes.size(); ++i) {
      const DraftNode& node = nodes[i];
      EXPECT_LT(node.parent, static_cast<int>(i));
      EXPECT_DOUBLE_EQ(node.reached, all[i].first);
      const Path path = path_of(nodes, static_cast<int>(i));
      EXPECT_EQ(static_cast<int>(path.size()), node.depth);
      EXPECT_TRUE(seen.insert(path).second);
      const int32_t before = node.parent < 0 ? 7 : nodes[static_cast<size_t>(node.parent)].token;
      const DraftChild& as = children(before, node.depth - 1)[static_cast<size_t>(node.rank)];
      EXPECT_EQ(as.token, node.token);
      EXPECT_EQ(as.confidence, node.confidence);
      EXPECT_EQ(as.acceptance, node.acceptance);
    }
  }
}

// And nothing is found out about what does not join.
TEST_F(DraftTree, GrowsAsFarAsItGoesOn) {
  for (int trial = 0; trial < 100; ++trial) {
    children_.clear();
    const int depth = pick(1, 5), most = pick(1, 60);
    const double least = std::uniform_real_distribution<double>(0, 0.5)(random_);
    const std::vector<DraftNode> all = likeliest_nodes(7, depth, most, source(), kAlways);
    size_t asked = 0;
    const auto counted = [&](int32_t before, int row, std::vector<DraftChild>& out) {
      ++asked;
      out = children(before, row);
    };
    const std::vector<DraftNode> nodes =
        likeliest_nodes(7, depth, most, counted, [&](std::span<const DraftNode> so_far, double r) {
          EXPECT_TRUE(so_far.empty() || r <= so_far.back().reached);
          return r >= least;
        });
    EXPECT_LE(asked, nodes.size() + 1);
    ASSERT_LE(nodes.size(), all.size());
    for (size_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(i < nodes.size(), all[i].reached >= least);
      if (i < nodes.size()) {
        EXPECT_EQ(path_of(nodes, static_cast<int>(i)), path_of(all, static_cast<int>(i)));
      }
    }
  }
}

TEST_F(DraftTree, IsTrunkAndBranchesEachBehindARowThatIsThere) {
  for (int trial = 0; trial < 200; ++trial) {
    children_.clear();
    breadth_ = pick(1, 4);
    const std::vector<DraftNode> nodes =
        likeliest_nodes(7, pick(1, 8), pick(0, 60), source(), kAlways);
    TreeRows rows;
    rows.make(7, nodes);
    ASSERT_EQ(rows.tokens.size(), nodes.size() + 1);
    ASSERT_EQ(rows.nodes.size(), nodes.size());
    EXPECT_EQ(rows.tokens[0], 7);
    EXPECT_EQ(std::set<int>(rows.nodes.begin(), rows.nodes.end()).size(), nodes.size());
    std::vector<int> row_of(nodes.size());
    for (size_t i = 0; i < nodes.size(); ++i) {
      row_of[static_cast<size_t>(rows.nodes[i])] = static_cast<int>(i) + 1;
    }
    for (size_t i = 0; i < nodes.size(); ++i) {
      const DraftNode& node = nodes[i];
      const int row = row_of[i];
      const int parent = node.parent < 0 ? 0 : row_of[static_cast<size_t>(node.parent)];
      EXPECT_EQ(rows.tokens[static_cast<size_t>(row)], node.token);
      EXPECT_EQ(depth_of(rows.branches, row), node.depth);
      EXPECT_EQ(parent_of(rows.branches, row), parent);
      EXPECT_LT(parent, row);
      EXPECT_EQ(rows.child(parent, node.token), row);
      EXPECT_EQ(rows.child(parent, 99), -1);
      // A branch goes on with its likeliest child.
      const bool first =
          std::ranges::none_of(nodes.begin(), nodes.begin() + static_cast<std::ptrdiff_t>(i),
                               [&](const DraftNode& other) { return other.parent == node.parent; });
      EXPECT_EQ(row == parent + 1, first);
    }
    int next = rows.trunk_rows();
    EXPECT_FALSE(rows.branch_of(next - 1).has_value());
    for (size_t b = 0; b < rows.branches.size(); ++b) {
      const Branch& branch = rows.branches[b];
      EXPECT_EQ(rows.branch_of(next), b);
      EXPECT_EQ(branch.first_row, next);
      EXPECT_GT(branch.rows, 0);
      EXPECT_EQ(branch.depth, depth_of(rows.branches, branch.parent) + 1);
      next += branch.rows;
    }
    EXPECT_EQ(next, static_cast<int>(rows.tokens.size()));

    const int trunk = rows.trunk_rows();
    rows.prune();
    EXPECT_EQ(static_cast<int>(rows.tokens.size()), trunk);
    EXPECT_EQ(rows.nodes.size(), rows.tokens.size() - 1);
    EXPECT_TRUE(rows.branches.empty());
  }
}

}  // namespace
}  // namespace orthrus
