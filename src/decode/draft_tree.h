// Trees of drafts: what the rows of a draft pass know beside their best guesses.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "cache/kv_branches.h"
#include "kernels/tree_node.h"

namespace orthrus {

// A token that may follow another one.
struct DraftChild {
  int32_t token = 0;
  float confidence = 0;   // how sure its row is of it, given the token before
  double acceptance = 0;  // P(accepted | the one before it is), in [0, 1]
};

// Gives `out`, which is empty, what may follow `before`, the token of row `row`'s own position, the
// likeliest first.
using DraftChildren = std::function<void(int32_t before, int row, std::vector<DraftChild>& out)>;

struct DraftNode {
  int32_t token = 0;
  int parent = -1;  // a node before it; -1: the anchor
  int depth = 1;    // how far behind the anchor
  int rank = 0;     // among what its row would have there
  float confidence = 0;
  double acceptance = 0;
  double reached = 0;  // P(accepted): the product of the acceptances of its path
};

// Whether a tree of these nodes is to go on with one that is accepted with this probability.
using TreeGoesOn = std::function<bool(std::span<const DraftNode> nodes, double reached)>;

// Of all paths behind the anchor, at most `depth` tokens long, the `most` nodes that are likeliest
// to be accepted, likeliest first, as far as the tree goes on; a node comes after its parent. Row i
// gives what nodes of depth i + 1 there may be, and is asked for nothing else. Throws
// std::bad_alloc.
std::vector<DraftNode> likeliest_nodes(int32_t anchor, int depth, int most,
                                       const DraftChildren& children, const TreeGoesOn& goes_on);

// A tree as the rows of a verify span: the anchor, then the trunk, which goes on with the likeliest
// child everywhere, then branches that do the same.
struct TreeRows {
  std::vector<int32_t> tokens;
  std::vector<int> nodes;  // that rows 1, 2, ... are
  std::vector<Branch> branches;

  // Of nodes as likeliest_nodes() orders them, or the first few of those. Throws std::bad_alloc.
  void make(int32_t anchor, std::span<const DraftNode> of);
  // Of the trunk alone.
  void prune();
  void clear();

  bool empty() const { return tokens.empty(); }
  int trunk_rows() const {
    return branches.empty() ? static_cast<int>(tokens.size()) : branches.front().first_row;
  }
  // The branch that a row is of; none: the trunk.
  std::optional<size_t> branch_of(int row) const;
  // The row of this token behind row `parent`; -1 where there is none.
  int child(int parent, int32_t token) const;
};

}  // namespace orthrus
