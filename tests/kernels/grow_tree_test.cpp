// Trees that a warp grows, its lanes one after the other on the processor, against those that the
// host makes of the same candidates.
#include "kernels/cuda/grow_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <vector>

#include "cache/kv_sequence.h"
#include "decode/draft_tree.h"
#include "kernels/pairwise.h"
#include "support/fresh_seed.h"

namespace orthrus {
namespace {

using cuda::CandidateTerms;
using cuda::DraftCandidates;
using cuda::SlotTree;
using cuda::TreeGrowth;
using cuda::TreePlan;
using cuda::TreeTables;
using cuda::TreeWork;

class FakePages final : public PageMemory {
 public:
  std::byte* make_page() override { return &pages_[next_++]; }

 private:
  std::vector<std::byte> pages_ = std::vector<std::byte>(4096);
  size_t next_ = 0;
};

class GrowTree : public testing::Test {
 protected:
  static constexpr int kMostPages = 16;
  static constexpr int kOwn = kMostPages;  // the second sequence's table
  static constexpr int kMemoryPage = 5000;

  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  float normal(float deviation) { return std::normal_distribution<float>(0, deviation)(random_); }

  // Rows of candidates, as many of them as a filter leaves, and their terms.
  void make_rows(int depth) {
    params_.temperature = pick(0, 1) == 0 ? 0 : 0.7f;
    pairs_ = pick(0, 2) > 0;
    anchor_ = pick(0, 99);
    rows_.assign(static_cast<size_t>(depth), {});
    terms_.assign(static_cast<size_t>(depth), {});
    host_rows_.assign(static_cast<size_t>(depth), {});
    const float spread = static_cast<float>(pick(1, 40)) / 10;
    for (int r = 0; r < depth; ++r) make_row(static_cast<size_t>(r), spread);
  }

  void make_row(size_t r, float spread) {
    DraftCandidates& row = rows_[r];
    std::vector<int32_t> ids(100);
    std::iota(ids.begin(), ids.end(), 0);
    std::shuffle(ids.begin(), ids.end(), random_);
    const auto count = static_cast<size_t>(pick(0, 9) == 0 ? pick(0, 31) : 32);
    std::vector<float> values(count);
    for (float& value : values) value = normal(spread);
    std::ranges::sort(values, std::greater());
    for (size_t i = 0; i < cuda::kPairCandidates; ++i) {
      row.ids[i] = i < count ? ids[i] : -1;
      row.values[i] = row.scores[i] = i < count ? values[i] : NAN;
    }
    row.top = count > 0 ? values[0] : NAN;
    row.total = count < 32 ? 0 : static_cast<float>(pick(1, 5));  // of those beyond them, at first
    for (const float value : values) row.total += std::exp(value - row.top);
    for (auto& behind : terms_[r].behind) {
      for (float& term : behind) term = pairs_ ? normal(1) : 0;
      if (r == 0) std::copy(std::begin(terms_[0].behind[0]), std::end(terms_[0].behind[0]), behind);
    }
    PairRow& host = host_rows_[r];
    for (size_t i = 0; i < count; ++i) {
      host.best.tokens.push_back({row.ids[i], values[i], values[i], values[i]});
    }
    host.best.log_total = static_cast<double>(row.top) + std::log(static_cast<double>(row.total));
    if (!pairs_) return;
    host.before.assign(1, anchor_);
    if (r > 0) host.before.assign(std::begin(rows_[r - 1].ids), std::end(rows_[r - 1].ids));
    const float* const terms = terms_[r].behind[0];
    host.terms.assign(terms, terms + host.before.size() * kPairCandidates);
  }

  std::vector<NextToken> next_of(int32_t before, int row) const {
    std::vector<NextToken> next;
    next_tokens(host_rows_[static_cast<size_t>(row)], before, params_, {}, next);
    return next;
  }

  void grow(int depth, int position, const TreePlan& plan) {
    table_.assign(2 * kMostPages + cuda::kBranchPages * (kMostPages + kMostTreeNodes), -1);
    for (int i = 0; i < kMostPages; ++i) table_[static_cast<size_t>(kOwn + i)] = 1000 + i;
    tables_ = {.entries = table_.data(),
               .own = kOwn,
               .branches = 2 * kMostPages,
               .copies = 2 * kMostPages + cuda::kBranchPages * kMostPages,
               .most_pages = kMostPages,
               .memory_page = kMemoryPage};
    TreeGrowth growth(rows_.data(), pairs_ ? terms_.data() : nullptr, depth, params_.greedy(),
                      position, plan, work_);
    growth.grow(anchor_);
    nodes_.resize(static_cast<size_t>(growth.nodes()));
    growth.tell_nodes(nodes_.data());
    growth.lay_out(tables_, tree_);
  }

  // Each node behind one that is there, of its row, as sure as the host has it.
  std::vector<DraftNode> checked_nodes(int depth, const TreePlan& plan) {
    EXPECT_LE(nodes_.size(), static_cast<size_t>(plan.nodes));
    std::vector<DraftNode> nodes;
    std::map<int, int> children;
    for (const TreeNode& node : nodes_) {
      EXPECT_GE(node.parent, -1);
      EXPECT_LT(node.parent, static_cast<int>(nodes.size()));
      DraftNode own{.token = node.token,
                    .parent = node.parent,
                    .rank = node.rank,
                    .confidence = node.confidence,
                    .reached = 1};
      int32_t before = anchor_;
      if (node.parent >= 0) {
        const DraftNode& parent = nodes[static_cast<size_t>(node.parent)];
        own.depth = parent.depth + 1;
        own.reached = parent.reached;
        before = parent.token;
      }
      EXPECT_LE(own.depth, depth);
      EXPECT_EQ(node.rank, children[node.parent]++);
      EXPECT_LT(node.rank, kNextTokens);
      const std::span<const int32_t> ids = rows_[static_cast<size_t>(own.depth - 1)].ids;
      EXPECT_NE(std::ranges::find(ids, node.token), ids.end());
      const std::vector<NextToken> next = next_of(before, own.depth - 1);
      EXPECT_FALSE(next.empty());
      if (next.empty()) return {};
      // The host adds in double: of two that nearly tie for the last place it may have the other.
      const auto same = std::ranges::find(next, node.token, &NextToken::token);
      const NextToken& host = same != next.end() ? *same : next.back();
      EXPECT_NEAR(host.confidence, node.confidence, 2e-5);
      own.reached *= static_cast<double>(node.confidence);
      nodes.push_back(own);
    }
    return nodes;
  }

  void check_rows(const std::vector<DraftNode>& nodes) const {
    TreeRows want;
    want.make(anchor_, nodes);
    ASSERT_EQ(tree_.rows, static_cast<int>(want.tokens.size()));
    ASSERT_EQ(tree_.chains, static_cast<int>(want.branches.size()) + 1);
    EXPECT_EQ(tree_.chain[0].rows, want.trunk_rows());
    for (size_t b = 0; b < want.branches.size(); ++b) {
      const cuda::TreeChain& got = tree_.chain[b + 1];
      EXPECT_EQ((Branch{got.parent, got.first_row, got.rows, got.depth}), want.branches[b]);
    }
    for (int row = 0; row < tree_.rows; ++row) {
      EXPECT_EQ(tree_.tokens[row], want.tokens[static_cast<size_t>(row)]);
      EXPECT_EQ(tree_.depths[row], depth_of(want.branches, row));
      EXPECT_EQ(tree_.parents[row], row == 0 ? -1 : parent_of(want.branches, row));
      const auto branch = want.branch_of(row);
      EXPECT_EQ(tree_.chain_of[row], branch ? static_cast<int>(*branch) + 1 : 0);
    }
  }

  // The same page where the host has the same one.
  void check_pages(const std::vector<DraftNode>& nodes, int depth, int position,
                   const TreePlan& plan) const {
    TreeRows rows;
    rows.make(anchor_, nodes);
    KvPool pool(std::make_unique<FakePages>(), 4096);
    KvSequence sequence(pool);
    ASSERT_EQ(sequence.reserve(position), Status::kOk);
    sequence.commit(position);
    ASSERT_EQ(sequence.reserve(depth + 1), Status::kOk);
    ASSERT_EQ(sequence.reserve_branches(rows.branches), Status::kOk);
    std::map<std::byte*, int> number_of;
    std::set<int> numbers;
    const auto number = [&](std::byte* page, int got) {
      const auto [known, fresh] = number_of.emplace(page, got);
      EXPECT_TRUE(!fresh || numbers.insert(got).second) << "page " << got << " is given twice";
      EXPECT_EQ(known->second, got);
    };
    for (size_t i = 0; i < sequence.page_count(); ++i) {
      number(sequence.pages()[i], table_[kOwn + i]);
    }
    std::multiset<std::pair<int, int>> copies, want_copies;
    for (size_t b = 0; b < rows.branches.size(); ++b) {
      const Branch& branch = rows.branches[b];
      const int first = position + branch.depth, last = first + branch.rows - 1;
      const int table = tables_.of_branch(tree_.chain[b + 1]);
      for (int i = 0; i <= last / kPageSize; ++i) {
        const int got = table_[static_cast<size_t>(table + i)];
        number(sequence.branches().pages(b)[i], got);
        if (i < first / kPageSize) continue;
        EXPECT_GE(got, kMemoryPage + plan.first_page);
        EXPECT_LT(got, kMemoryPage + plan.first_page + plan.pages);
      }
      const int own = table_[static_cast<size_t>(table + first / kPageSize)];
      int row = branch.parent;
      for (int p = first - 1; p >= std::max(position, first / kPageSize * kPageSize); --p) {
        want_copies.emplace(row, own);
        row = parent_of(rows.branches, row);
      }
    }
    for (int row = 0; row < tree_.rows; ++row) {
      ASSERT_LE(tree_.copies[row], plan.pages);
      const int at = tables_.copies_of(tree_.first_page, tree_.copies_room, row);
      for (int i = 0; i < tree_.copies[row]; ++i) {
        copies.emplace(row, table_[static_cast<size_t>(at + i)]);
      }
    }
    EXPECT_EQ(copies, want_copies);
  }

  std::mt19937 random_{test::fresh_seed()};
  SamplingParams params_{};
  bool pairs_ = false;
  int32_t anchor_ = 0;
  std::vector<DraftCandidates> rows_;
  std::vector<CandidateTerms> terms_;
  std::vector<PairRow> host_rows_;
  std::vector<int> table_;
  TreeTables tables_{};
  std::vector<TreeNode> nodes_;
  TreeWork work_{};
  SlotTree tree_{};
};

// Where there is room for all branches, the nodes are as likely as the host's.
TEST_F(GrowTree, HasTheLikeliestNodes) {
  for (int trial = 0; trial < 300; ++trial) {
    const int depth = pick(1, 31), most = pick(1, 60);
    make_rows(depth);
    const TreePlan plan{.nodes = most, .first_page = 0, .pages = cuda::kBranchPages};
    grow(depth, 64, plan);
    const std::vector<DraftNode> nodes = checked_nodes(depth, plan);
    const auto children = [&](int32_t before, int row, std::vector<DraftChild>& out) {
      for (const NextToken& n : next_of(before, row)) {
        out.push_back({n.token, n.confidence, static_cast<double>(n.confidence)});
      }
    };
    const std::vector<DraftNode> want = likeliest_nodes(
        anchor_, depth, most, children, [](std::span<const DraftNode>, double) { return true; });
    const auto reached = [](const std::vector<DraftNode>& of, size_t i) {
      return i < of.size() ? of[i].reached : 0;
    };
    for (size_t i = 0; i < std::max(nodes.size(), want.size()); ++i) {
      EXPECT_NEAR(reached(nodes, i), reached(want, i), 3e-4 * reached(want, i) + 1e-25) << i;
    }
    check_rows(nodes);
    check_pages(nodes, depth, 64, plan);
    if (HasFailure()) return;
  }
}

// In few pages, over borders of pages, with what acceptances were learnt.
TEST_F(GrowTree, KeepsToItsPages) {
  int limited = 0, nested = 0;
  for (int trial = 0; trial < 600; ++trial) {
    const int depth = pick(1, trial % 4 == 0 ? 127 : 15), position = pick(0, 400);
    make_rows(depth);
    TreePlan plan{.nodes = pick(0, 127)};
    plan.pages = pick(0, trial % 2 == 0 ? 6 : cuda::kBranchPages);
    plan.first_page = pick(0, cuda::kBranchPages - plan.pages);
    plan.calibrated = pick(0, 1);
    for (float* const table : {plan.acceptances.likeliest, plan.acceptances.others}) {
      std::generate_n(table, ConfidenceBins::kCount,
                      [&] { return static_cast<float>(pick(1, 100)) / 100; });
    }
    grow(depth, position, plan);
    const std::vector<DraftNode> nodes = checked_nodes(depth, plan);
    limited += static_cast<int>(nodes.size()) < plan.nodes ? 1 : 0;
    check_rows(nodes);
    check_pages(nodes, depth, position, plan);
    for (int c = 1; c < tree_.chains; ++c) nested += tree_.chain_of[tree_.chain[c].parent] > 0;
    EXPECT_LE(tree_.chains, plan.pages + 1);
    if (HasFailure()) return;
  }
  EXPECT_GT(limited, 0);
  EXPECT_GT(nested, 0);
}

// Without room for branches it is the chain that would have been drafted.
TEST_F(GrowTree, AChainIsATreeWithoutBranches) {
  for (int trial = 0; trial < 200; ++trial) {
    const int depth = pick(1, 31);
    make_rows(depth);
    grow(depth, pick(0, 200), {.nodes = depth});
    std::vector<Choice> chain(static_cast<size_t>(depth));
    choose_drafts(host_rows_, anchor_, params_, {}, false, chain);
    std::erase_if(chain, [](const Choice& choice) { return choice.id < 0; });
    ASSERT_EQ(nodes_.size(), chain.size());
    // The host adds in double: of two that nearly tie it may take the other.
    int32_t before = anchor_;
    for (size_t i = 0; i < chain.size(); ++i) {
      const std::vector<NextToken> next = next_of(before, static_cast<int>(i));
      const auto same = std::ranges::find(next, nodes_[i].token, &NextToken::token);
      ASSERT_NE(same, next.end());
      EXPECT_NEAR(same->confidence, next.front().confidence, 1e-6);
      before = same->token;
    }
  }
}

// Nor does it end where the product of its acceptances vanishes.
TEST_F(GrowTree, AChainThatNothingSpeaksForIsWhole) {
  make_rows(31);
  for (DraftCandidates& row : rows_) {
    std::iota(std::begin(row.ids), std::end(row.ids), 0);
    row.total = 1e6F;  // of tokens that are all as likely
    std::fill(std::begin(row.values), std::end(row.values), 0.0F);
    std::fill(std::begin(row.scores), std::end(row.scores), 0.0F);
    row.top = 0;
  }
  params_.temperature = 0;
  pairs_ = false;
  grow(31, 0, {.nodes = 31});
  EXPECT_EQ(nodes_.size(), 31u);
}

}  // namespace
}  // namespace orthrus
