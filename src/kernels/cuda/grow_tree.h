// Growing a tree of drafts from what the rows of a draft pass have to offer, and giving its
// branches rows and pages: what decode/draft_tree.h and cache/kv_branches.h do on the host, where
// one warp has a sequence (lanes.h).
//
// Nodes join best first, by the product of acceptances along their path. Of what may follow a node,
// those that its row holds for likelier come first.
#pragma once

#include <cfloat>
#include <cmath>
#include <cstdint>

#include "base/host_device.h"
#include "kernels/acceptance_table.h"
#include "kernels/cuda/candidates.h"
#include "kernels/cuda/lanes.h"
#include "kernels/page_size.h"
#include "kernels/tree_node.h"

namespace orthrus::cuda {

// Pages that the branches of all trees of a cycle share.
inline constexpr int kBranchPages = 64;
// Of what a row has behind a token; the processor takes as many.
inline constexpr int kMostChildren = 16;

// What the host says of a sequence's tree in a cycle.
struct alignas(16) TreePlan {
  int nodes = 0;       // most, the anchor not counted
  int first_page = 0;  // of the branches' pages, those that its own may have
  int pages = 0;
  int calibrated = 0;  // 0: confidences are acceptances
  AcceptanceTables acceptances{};
};

// Rows of a verify span that follow each other: the trunk, which begins with the anchor, or a
// branch, whose first row comes behind row `parent`.
struct TreeChain {
  int parent = -1;
  int first_row = 0;
  int rows = 0;
  int depth = 0;  // of its first row
  int page = 0;   // the first of its pages, among those for branches; of no meaning for the trunk
};

// A tree as the rows of a verify span, as decode/draft_tree.h orders them.
struct SlotTree {
  int rows = 0;         // the anchor's among them
  int chains = 0;       // the trunk, then branches
  int first_page = 0;   // TreePlan's
  int copies_room = 0;  // of each row, for the pages that it is copied to
  int32_t tokens[kMostTreeNodes];
  int16_t parents[kMostTreeNodes];  // rows; -1 of the anchor
  int16_t depths[kMostTreeNodes];
  int16_t chain_of[kMostTreeNodes];
  int copies[kMostTreeNodes];  // how many pages each row is copied to
  TreeChain chain[kBranchPages + 1];
};

// Where the page tables of all sequences and branches lie, in one array. The sequence's own is
// [most_pages] from `own`. That of the branch that begins with page i of those for branches is
// [most_pages] from `branches` + i * most_pages, and the pages that row r of a tree is copied to
// are [copies_room] from `copies` + first_page * kMostTreeNodes + r * copies_room.
struct TreeTables {
  int* entries = nullptr;
  int own = 0;
  int branches = 0;
  int copies = 0;
  int most_pages = 0;
  int memory_page = 0;  // the first of the pages for branches, as the cache numbers them

  ORTHRUS_HOST_DEVICE int of_branch(const TreeChain& branch) const {
    return branches + branch.page * most_pages;
  }
  ORTHRUS_HOST_DEVICE int copies_of(int first_page, int copies_room, int row) const {
    return copies + first_page * kMostTreeNodes + row * copies_room;
  }
};

// What one warp needs while it does that.
struct TreeWork {
  static constexpr int kPathPages = 3;  // at most, of the positions that a tree may have

  // By node, in the order of joining; 0 is the anchor.
  float shares[kMostTreeNodes][kPairCandidates];  // of what may still follow; 0: nothing
  float confidence[kMostTreeNodes];
  float reached[kMostTreeNodes];
  float next[kMostTreeNodes];  // with what the best of those would be reached; 0: there is none
  int32_t token[kMostTreeNodes];
  int16_t next_place[kMostTreeNodes];  // that one's, among its row's candidates
  int16_t place[kMostTreeNodes];
  int16_t parent[kMostTreeNodes];
  int16_t depth[kMostTreeNodes];
  int16_t rank[kMostTreeNodes];
  int16_t children[kMostTreeNodes];   // how many have joined
  int16_t likeliest[kMostTreeNodes];  // the first of them; 0: none
  int16_t row[kMostTreeNodes];
  int16_t chain_of[kMostTreeNodes];
  // By chain.
  int16_t head[kBranchPages + 1];  // its first node
  TreeChain chain[kBranchPages + 1];
  int path[kBranchPages + 1][kPathPages];  // its path's pages from the anchor's on; -1: none
  int copies[kMostTreeNodes];              // by row
  // Of the node that is looked at.
  float score[kPairCandidates], value[kPairCandidates];
};

class TreeGrowth {
 public:
  // Behind the anchor at `position`, at most `depth` tokens deep, of as many rows' candidates and
  // terms; no terms: they are none.
  ORTHRUS_HOST_DEVICE TreeGrowth(const DraftCandidates* rows, const CandidateTerms* terms,
                                 int depth, bool greedy, int position, const TreePlan& plan,
                                 TreeWork& work)
      : rows_(rows),
        terms_(terms),
        depth_(depth < kMostTreeNodes ? depth : kMostTreeNodes - 1),
        greedy_(greedy),
        position_(position),
        plan_(plan),
        w_(work) {}

  // A branch is charged for as many pages as it could come to have. Where there is no room for one
  // its node is left out, and what would be behind it.
  ORTHRUS_HOST_DEVICE void grow(int32_t anchor) {
    Lanes::one([&] {
      w_.token[0] = anchor, w_.place[0] = 0, w_.parent[0] = -1, w_.depth[0] = 0, w_.rank[0] = 0;
      w_.reached[0] = 1, w_.head[0] = 0;
    });
    expand(0);
    int left = plan_.pages;
    while (nodes_ + 1 < kMostTreeNodes && nodes_ < plan_.nodes) {
      const int parent = best_open();
      if (!(w_.next[parent] > 0)) break;
      const int rank = w_.children[parent], depth = w_.depth[parent] + 1;
      if (rank > 0) {
        const int pages = (position_ + depth_) / kPageSize - (position_ + depth) / kPageSize + 1;
        if (pages > left) {
          Lanes::one([&] { w_.next[parent] = 0; });
          continue;
        }
        left -= pages;
        ++branches_;
      }
      join(parent, rank, depth);
      find_next(parent);
      expand(nodes_);
    }
  }

  // The nodes but for the anchor, as they joined.
  ORTHRUS_HOST_DEVICE int nodes() const { return nodes_; }
  ORTHRUS_HOST_DEVICE void tell_nodes(TreeNode* to) const {
    Lanes::each([&](int lane) {
      for (int n = 1 + lane; n <= nodes_; n += Lanes::kCount) {
        to[n - 1] = {w_.token[n], w_.confidence[n], static_cast<int16_t>(w_.parent[n] - 1),
                     w_.rank[n]};
      }
    });
  }

  // Rows and pages of what has grown.
  ORTHRUS_HOST_DEVICE void lay_out(const TreeTables& tables, SlotTree& to) {
    walk_chains([&](int chain, int node, int i) {
      w_.chain_of[node] = static_cast<int16_t>(chain);
      w_.chain[chain].rows = i + 1;
    });
    Lanes::each([&](int lane) {
      for (int r = lane; r < kMostTreeNodes; r += Lanes::kCount) w_.copies[r] = 0;
    });
    Lanes::one([&] { place_chains(tables); });
    walk_chains([&](int chain, int node, int i) {
      w_.row[node] = static_cast<int16_t>(w_.chain[chain].first_row + i);
    });
    tell_rows(to);
    fill_tables(tables);
    copy_paths(tables);
    Lanes::each([&](int lane) {
      for (int r = lane; r <= nodes_; r += Lanes::kCount) to.copies[r] = w_.copies[r];
    });
  }

 private:
  ORTHRUS_HOST_DEVICE int first_page() const { return position_ / kPageSize; }

  // What may follow this node, where there is a row for it.
  ORTHRUS_HOST_DEVICE void expand(int node) {
    Lanes::one([&] { w_.children[node] = w_.likeliest[node] = 0, w_.next[node] = 0; });
    const int row = w_.depth[node];
    if (row >= depth_) return;
    const DraftCandidates& candidates = rows_[row];
    const float* const terms = terms_ == nullptr ? nullptr : terms_[row].behind[w_.place[node]];
    const float top = candidates.top, row_total = candidates.total;
    Lanes::each([&](int lane) {
      // All are loaded at once, whether there is a candidate or not.
      const int32_t id = candidates.ids[lane];
      const float value = candidates.values[lane], score = candidates.scores[lane];
      const float term = terms != nullptr ? terms[lane] : 0;
      w_.value[lane] = id >= 0 ? value + term : -INFINITY;
      w_.score[lane] = id >= 0 ? score : -INFINITY;
    });
    float most = Lanes::max([&](int lane) { return w_.value[lane]; });
    if (!(most > -INFINITY)) return;
    // Greedy: its share of the softmax with the term. At a temperature that of exp(score + noise)
    // among the candidates. Others there are only beside as many candidates as there may be: see
    // log_total_with (pairwise.cpp).
    const bool all = !greedy_ || !(w_.value[kPairCandidates - 1] > -INFINITY);
    if (!all) most = fmaxf(most, top);
    const Lanes::Sums sums =
        Lanes::sums([&](int lane) { return expf(w_.value[lane] - most); },
                    [&](int lane) { return all ? 0 : expf(w_.score[lane] - most); });
    const float others = all ? 0 : fmaxf(row_total * expf(top - most) - sums.second, 0.0f);
    Lanes::each([&](int lane) {
      const float share = expf(w_.value[lane] - most) / (others + sums.first);
      w_.shares[node][lane] = share > 0 && share <= 1 ? share : 0;  // of what is broken nothing
    });
    find_next(node);
  }

  // The likeliest of what may still follow this node.
  ORTHRUS_HOST_DEVICE void find_next(int node) {
    const int place = Lanes::best([&](int lane) { return w_.shares[node][lane]; });
    const float share = w_.shares[node][place];
    const int rank = w_.children[node];
    // Of a long chain that nothing speaks for the product would vanish, and the chain end there.
    const float reached = share > 0 && rank < kMostChildren
                              ? fmaxf(w_.reached[node] * acceptance(share, rank), FLT_MIN)
                              : 0;
    Lanes::one([&] {
      w_.next_place[node] = static_cast<int16_t>(place);
      w_.next[node] = reached;
    });
  }

  ORTHRUS_HOST_DEVICE float acceptance(float confidence, int rank) const {
    if (plan_.calibrated == 0) return confidence;
    constexpr ConfidenceBins kBins{};
    const int bin = kBins.of(confidence);
    return rank == 0 ? plan_.acceptances.likeliest[bin] : plan_.acceptances.others[bin];
  }

  // The node whose next one is reached most likely; of equals the first.
  ORTHRUS_HOST_DEVICE int best_open() const {
    const int lane = Lanes::best([&](int own) {
      float most = 0;
      for (int n = own; n <= nodes_; n += Lanes::kCount) most = fmaxf(most, w_.next[n]);
      return most;
    });
    int best = lane <= nodes_ ? lane : 0;
    for (int n = lane + Lanes::kCount; n <= nodes_; n += Lanes::kCount) {
      if (w_.next[n] > w_.next[best]) best = n;
    }
    return best;
  }

  ORTHRUS_HOST_DEVICE void join(int parent, int rank, int depth) {
    const int node = ++nodes_, place = w_.next_place[parent];
    const float confidence = w_.shares[parent][place], reached = w_.next[parent];
    const int32_t token = rows_[depth - 1].ids[place];
    Lanes::one([&] {
      w_.token[node] = token, w_.place[node] = static_cast<int16_t>(place);
      w_.confidence[node] = confidence, w_.reached[node] = reached;
      w_.parent[node] = static_cast<int16_t>(parent), w_.depth[node] = static_cast<int16_t>(depth);
      w_.rank[node] = static_cast<int16_t>(rank);
      w_.children[parent] = static_cast<int16_t>(rank + 1);
      w_.shares[parent][place] = 0;
      if (rank == 0) {
        w_.likeliest[parent] = static_cast<int16_t>(node);
      } else {
        w_.head[branches_] = static_cast<int16_t>(node);
      }
    });
  }

  // Calls f(chain, node, i) with the nodes of each chain, from its head on; a lane has a chain.
  template <typename F>
  ORTHRUS_HOST_DEVICE void walk_chains(F f) const {
    Lanes::each([&](int lane) {
      for (int chain = lane; chain <= branches_; chain += Lanes::kCount) {
        int node = w_.head[chain], i = 0;
        do {
          f(chain, node, i++);
          node = w_.likeliest[node];
        } while (node > 0);
      }
    });
  }

  // The trunk's rows come first, then those of branches as they began. A path has what it shares
  // with the one that it leaves up to the page of its first row, and pages of its own from there.
  ORTHRUS_HOST_DEVICE void place_chains(const TreeTables& tables) {
    int rows = 0, page = plan_.first_page;
    for (int c = 0; c <= branches_; ++c) {
      TreeChain& chain = w_.chain[c];
      const int head = w_.head[c];
      chain.first_row = rows;
      rows += chain.rows;
      chain.depth = w_.depth[head];
      chain.page = page;
      const int first = (position_ + chain.depth) / kPageSize - first_page();
      const int last = (position_ + chain.depth + chain.rows - 1) / kPageSize - first_page();
      for (int i = 0; i < TreeWork::kPathPages; ++i) {
        if (c == 0) {
          w_.path[c][i] = i <= last ? tables.entries[tables.own + first_page() + i] : -1;
        } else if (i < first) {
          w_.path[c][i] = w_.path[w_.chain_of[w_.parent[head]]][i];
        } else {
          w_.path[c][i] = i <= last ? tables.memory_page + page++ : -1;
        }
      }
    }
  }

  ORTHRUS_HOST_DEVICE void tell_rows(SlotTree& to) {
    Lanes::each([&](int lane) {
      for (int n = lane; n <= nodes_; n += Lanes::kCount) {
        const int row = w_.row[n];
        to.tokens[row] = w_.token[n];
        to.parents[row] = static_cast<int16_t>(n == 0 ? -1 : w_.row[w_.parent[n]]);
        to.depths[row] = w_.depth[n];
        to.chain_of[row] = w_.chain_of[n];
      }
      for (int c = lane; c <= branches_; c += Lanes::kCount) {
        const int parent = w_.parent[w_.head[c]];
        w_.chain[c].parent = parent < 0 ? -1 : w_.row[parent];
        to.chain[c] = w_.chain[c];
      }
      if (lane > 0) return;
      to.rows = nodes_ + 1, to.chains = branches_ + 1;
      to.first_page = plan_.first_page, to.copies_room = plan_.pages;
    });
  }

  // The page tables of branches.
  ORTHRUS_HOST_DEVICE void fill_tables(const TreeTables& tables) {
    if (branches_ == 0) return;
    const int most = (position_ + depth_) / kPageSize + 1;
    Lanes::each([&](int lane) {
      for (int i = lane; i < most; i += Lanes::kCount) {
        const int own = i < first_page() ? tables.entries[tables.own + i] : -1;
        for (int c = 1; c <= branches_; ++c) {
          const int page = i < first_page() ? own : w_.path[c][i - first_page()];
          if (page >= 0) tables.entries[tables.of_branch(w_.chain[c]) + i] = page;
        }
      }
    });
  }

  // What lies on a branch's path in its first page, from the anchor on, is copied there.
  ORTHRUS_HOST_DEVICE void copy_paths(const TreeTables& tables) {
    Lanes::each([&](int lane) {
      for (int c = 1 + lane; c <= branches_; c += Lanes::kCount) {
        const int first = position_ + w_.chain[c].depth, begin = first / kPageSize * kPageSize;
        const int page = w_.path[c][first / kPageSize - first_page()];
        int node = w_.parent[w_.head[c]];
        for (int p = first - 1; p >= begin && p >= position_; --p) {
          const int row = w_.row[node], i = Lanes::count(w_.copies[row]);
          tables.entries[tables.copies_of(plan_.first_page, plan_.pages, row) + i] = page;
          node = w_.parent[node];
        }
      }
    });
  }

  const DraftCandidates* rows_;
  const CandidateTerms* terms_;
  int depth_;
  bool greedy_;
  int position_;
  const TreePlan& plan_;
  TreeWork& w_;
  int nodes_ = 0;  // beside the anchor
  int branches_ = 0;
};

}  // namespace orthrus::cuda
