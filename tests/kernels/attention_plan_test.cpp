// Which items the blocks of the attention kernel find, run on the processor: every tile that a row
// sees is read for it once, and what the rows of a tree all see is read for them together. Without
// that last the bits would be the same, and no other test would notice.
#include "kernels/cuda/attention_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <vector>

#include "base/ceil_div.h"
#include "support/fresh_seed.h"

namespace orthrus {
namespace {

using cuda::AttentionItem;
using cuda::AttentionPlan;
using cuda::AttentionWork;
using cuda::kTilePositions;
using cuda::KvSpan;

constexpr int kSplitPositions = cuda::kSplitTiles * kTilePositions;

// Rows that begin behind the same positions: a tree, whose spans are its trunk and then its
// branches, or a span that has none.
struct Tree {
  int known = 0, first_row = 0, rows = 0;
  std::vector<KvSpan> spans;

  // Splits that all of its rows see.
  int shared() const { return known / kSplitPositions; }
};

class AttentionPlanTest : public testing::Test {
 protected:
  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }

  // Ends anywhere, but most often near the border of a page or of a split.
  int some_length(int most) {
    const int run = std::array{1, kTilePositions, kSplitPositions}[static_cast<size_t>(pick(0, 2))];
    return std::clamp(pick(0, most / run) * run + pick(-3, 3), 0, most);
  }

  void add(int known, int rows, bool block) {
    KvSpan span = {.first_row = rows_, .rows = rows, .first_position = known};
    if (block) span.first_block_page = 7;
    trees_.push_back({known, rows_, rows, {span}});
    rows_ += rows;
  }

  void add_branch(int depth, int rows) {
    Tree& tree = trees_.back();
    tree.spans.push_back(
        {.first_row = rows_, .rows = rows, .first_position = tree.known + depth, .behind = depth});
    rows_ += rows;
    tree.rows += rows;
    tree.spans[0].tree_rows = tree.rows;
  }

  void add_some(int sequences, int most_known) {
    for (int s = 0; s < sequences; ++s) {
      const int kind = pick(0, 9), rows = pick(0, 3) == 0 ? pick(1, 130) : pick(1, 16);
      add(some_length(most_known), rows, kind == 0);
      if (kind == 1) trees_.back().spans[0].tree_rows = rows;
      for (int b = kind < 3 ? 0 : pick(0, 40); b > 0; --b) {
        add_branch(pick(1, trees_.back().rows), pick(0, 15) == 0 ? pick(1, 70) : pick(1, 3));
      }
    }
  }

  AttentionWork work(int part_rows, int blocks) {
    spans_.clear();
    for (const Tree& tree : trees_) {
      spans_.insert(spans_.end(), tree.spans.begin(), tree.spans.end());
    }
    count_ = static_cast<int>(spans_.size());
    return {heads_, spans_.data(), &count_, part_rows, blocks};
  }

  std::vector<AttentionItem> items_of(const AttentionPlan& plan) {
    const AttentionWork all = work(cuda::kMostRowsApart, 264);
    std::vector<AttentionItem> items;
    for (AttentionItem item; find_item(all, plan, static_cast<int>(items.size()), item);) {
      items.push_back(item);
    }
    AttentionItem none;
    const int end = static_cast<int>(items.size());
    for (const int beyond : {1, 131, 10000}) EXPECT_FALSE(find_item(all, plan, end + beyond, none));
    return items;
  }

  int group() const { return heads_.heads / heads_.kv_heads; }

  // Every row sees each of its tiles once, in the one of its items that has the tile's split.
  void check_cover(const std::vector<AttentionItem>& items, const AttentionPlan& plan) {
    int tiles = 0;
    for (const KvSpan& span : spans_) {
      tiles = std::max(tiles, ceil_div(span.first_position + span.rows, kTilePositions) + 1);
    }
    const auto at = [&](int row, int head, bool block, int tile) {
      return static_cast<size_t>(((row * heads_.heads + head) * 2 + (block ? 1 : 0)) * tiles +
                                 tile);
    };
    std::vector<int> times(at(rows_, 0, false, 0));
    for (const AttentionItem& item : items) {
      ASSERT_GT(item.rows, 0);
      ASSERT_LE(item.rows, plan.block_rows);
      ASSERT_LT(item.first_split, item.last_split);
      ASSERT_TRUE(!plan.apart || item.first_split + 1 == item.last_split);
      for (int split = item.first_split; split < item.last_split; ++split) {
        const cuda::SplitTiles part = tiles_of_split(item, split);
        ASSERT_GT(part.count, 0);
        ASSERT_LE(part.count, cuda::kSplitTiles);
        ASSERT_LT(part.first + part.count, tiles);
        for (int r = item.first_row; r < item.first_row + item.rows; ++r) {
          const int row = item.span.first_row + r / group();
          ASSERT_LT(row, rows_);
          for (int t = part.first; t < part.first + part.count; ++t) {
            ++times[at(row, item.kv_head * group() + r % group(), part.block, t)];
          }
        }
      }
    }
    for (const KvSpan& span : spans_) {
      for (int i = 0; i < span.rows; ++i) {
        const bool block = span.has_block();
        const int seen = ceil_div(span.first_position + (block ? 0 : i + 1), kTilePositions);
        const int in_block = block ? ceil_div(span.rows, kTilePositions) : 0;
        for (int head = 0; head < heads_.heads; ++head) {
          for (int t = 0; t < tiles; ++t) {
            const int row = span.first_row + i;
            const int of_cache = times[at(row, head, false, t)];
            // Tiles behind those are read where another row of its item sees them.
            ASSERT_TRUE(t < seen || block ? of_cache == (t < seen ? 1 : 0) : of_cache <= 1)
                << "row " << row << ", head " << head << ", tile " << t << " of " << seen;
            ASSERT_EQ(times[at(row, head, true, t)], t < in_block ? 1 : 0);
          }
        }
      }
    }
  }

  // Splits that a tree's rows all see have no more items than those rows fill, and there are no
  // other items than what is behind those splits needs.
  void check_sharing(const std::vector<AttentionItem>& items, const AttentionPlan& plan) {
    size_t want = 0;
    for (const Tree& tree : trees_) {
      const int together = ceil_div(tree.rows * group(), plan.block_rows);
      std::vector<int> of_split(static_cast<size_t>(tree.shared() * heads_.kv_heads));
      for (const AttentionItem& item : items) {
        const int row = item.span.first_row - tree.first_row;
        if (row < 0 || row >= tree.rows || item.first_split >= tree.shared()) continue;
        ++of_split[static_cast<size_t>(item.first_split * heads_.kv_heads + item.kv_head)];
      }
      for (const int count : of_split) {
        ASSERT_EQ(count, together) << tree.rows << " rows behind " << tree.known << ", in "
                                   << tree.spans.size() << " spans";
      }
      want += of_split.size() * static_cast<size_t>(together);
      for (const KvSpan& span : tree.spans) {
        // Rows fill items from the first on; each sees as much as its last row.
        for (int end = span.rows * group(); end > 0;) {
          const int last = (end - 1) / group();
          const int splits = span.has_block()
                                 ? ceil_div(span.first_position, kSplitPositions) +
                                       ceil_div(span.rows, kSplitPositions)
                                 : ceil_div(span.first_position + last + 1, kSplitPositions);
          want += static_cast<size_t>((splits - tree.shared()) * heads_.kv_heads);
          end = (end - 1) / plan.block_rows * plan.block_rows;
        }
      }
    }
    ASSERT_EQ(items.size(), want);
  }

  std::mt19937 random_{test::fresh_seed()};
  cuda::Heads heads_ = {16, 8, 128};
  std::vector<Tree> trees_;
  int rows_ = 0;
  std::vector<KvSpan> spans_;
  int count_ = 0;
};

TEST_F(AttentionPlanTest, EveryTileOfARowIsReadOnceAndThoseOfATreeTogether) {
  constexpr cuda::Heads shapes[] = {{32, 8, 128}, {16, 8, 128}, {8, 1, 128},
                                    {14, 2, 64},  {6, 2, 64},   {4, 4, 16}};
  for (int i = 0; i < 60 && !HasFatalFailure(); ++i) {
    heads_ = shapes[static_cast<size_t>(pick(0, 5))];
    trees_.clear(), rows_ = 0;
    add_some(pick(0, 3) == 0 ? pick(1, 40) : pick(1, 3), pick(0, 1) == 0 ? 700 : 3000);
    for (const bool apart : {false, true}) {
      for (const int block_rows : {cuda::kFewRows, cuda::kBlockRows}) {
        const AttentionPlan plan = {apart, block_rows};
        const std::vector<AttentionItem> items = items_of(plan);
        check_cover(items, plan);
        if (apart) check_sharing(items, plan);
      }
    }
  }
}

TEST_F(AttentionPlanTest, APassWithoutSpansHasNoItems) {
  for (const bool apart : {false, true}) {
    EXPECT_TRUE(items_of({apart, cuda::kBlockRows}).empty());
  }
}

// Plain sequences as many as keep all blocks busy are not cut up; trees are, for what they share.
TEST_F(AttentionPlanTest, TreesAreCutUpWhateverThereIsToDo) {
  for (int s = 0; s < 60; ++s) add(2000, 2, false);
  EXPECT_FALSE(plan_of(work(256, 132), true).apart);
  EXPECT_TRUE(plan_of(work(256, 2640), true).apart);
  trees_.clear(), rows_ = 0;
  for (int s = 0; s < 60; ++s) {
    add(2000, 2, false);
    add_branch(1, 1);
    add_branch(1, 1);
  }
  EXPECT_TRUE(plan_of(work(256, 132), true).apart);
  EXPECT_FALSE(plan_of(work(rows_ - 1, 132), true).apart);  // no room for so many rows' parts
}

TEST_F(AttentionPlanTest, ItemsOfFewRowsAreFew) {
  add(2000, 1, false);
  EXPECT_EQ(plan_of(work(256, 264), true).block_rows, cuda::kFewRows);
  EXPECT_EQ(plan_of(work(256, 264), false).block_rows, cuda::kBlockRows);
  for (int s = 0; s < 40; ++s) add(2000, 1, false);
  EXPECT_GT(items_of({true, cuda::kFewRows}).size(), static_cast<size_t>(cuda::kFewItems));
  EXPECT_EQ(plan_of(work(256, 264), true).block_rows, cuda::kBlockRows);
}

}  // namespace
}  // namespace orthrus
