#include "decode/draft_tree.h"

#include <algorithm>

namespace orthrus {
namespace {

// What would join the tree later: less likely, or as likely and met later.
struct JoinsLater {
  bool operator()(const std::pair<DraftNode, size_t>& a,
                  const std::pair<DraftNode, size_t>& b) const {
    return a.first.reached != b.first.reached ? a.first.reached < b.first.reached
                                              : a.second > b.second;
  }
};

}  // namespace

std::vector<DraftNode> likeliest_nodes(int32_t anchor, int depth, int most,
                                       const DraftChildren& children, const TreeGoesOn& goes_on) {
  std::vector<DraftNode> nodes;
  std::vector<std::pair<DraftNode, size_t>> open;  // a heap
  std::vector<DraftChild> next;
  size_t met = 0;
  const auto expand = [&](int32_t token, int parent, int at, double reached) {
    if (at >= depth) return;
    next.clear();
    children(token, at, next);
    for (size_t rank = 0; rank < next.size(); ++rank) {
      const DraftChild& child = next[rank];
      open.push_back({{.token = child.token,
                       .parent = parent,
                       .depth = at + 1,
                       .rank = static_cast<int>(rank),
                       .confidence = child.confidence,
                       .acceptance = child.acceptance,
                       .reached = reached * child.acceptance},
                      met++});
      std::ranges::push_heap(open, JoinsLater());
    }
  };
  expand(anchor, -1, 0, 1);
  while (!open.empty() && static_cast<int>(nodes.size()) < most &&
         goes_on(nodes, open.front().first.reached)) {
    std::ranges::pop_heap(open, JoinsLater());
    nodes.push_back(open.back().first);
    open.pop_back();
    const DraftNode node = nodes.back();
    expand(node.token, static_cast<int>(nodes.size()) - 1, node.depth, node.reached);
  }
  return nodes;
}

void TreeRows::make(int32_t anchor, std::span<const DraftNode> of) {
  clear();
  const size_t count = of.size();
  std::vector<int> likeliest_child(count + 1, -1), row_of(count + 1, -1);  // [0]: of the anchor
  for (size_t i = count; i-- > 0;) {
    likeliest_child[static_cast<size_t>(of[i].parent + 1)] = static_cast<int>(i);
  }
  tokens.push_back(anchor);
  row_of[0] = 0;
  // This node, and what goes on from it.
  const auto append = [&](int node) {
    for (; node >= 0; node = likeliest_child[static_cast<size_t>(node) + 1]) {
      row_of[static_cast<size_t>(node) + 1] = static_cast<int>(tokens.size());
      tokens.push_back(of[static_cast<size_t>(node)].token);
      nodes.push_back(node);
    }
  };
  append(likeliest_child[0]);
  for (size_t i = 0; i < count; ++i) {
    if (row_of[i + 1] >= 0) continue;
    const int first = static_cast<int>(tokens.size());
    append(static_cast<int>(i));
    branches.push_back({.parent = row_of[static_cast<size_t>(of[i].parent + 1)],
                        .first_row = first,
                        .rows = static_cast<int>(tokens.size()) - first,
                        .depth = of[i].depth});
  }
}

void TreeRows::prune() {
  const auto rows = static_cast<size_t>(trunk_rows());
  tokens.resize(rows);
  nodes.resize(rows > 0 ? rows - 1 : 0);
  branches.clear();
}

void TreeRows::clear() {
  tokens.clear();
  nodes.clear();
  branches.clear();
}

std::optional<size_t> TreeRows::branch_of(int row) const {
  std::optional<size_t> found;
  for (size_t b = 0; b < branches.size() && branches[b].first_row <= row; ++b) found = b;
  return found;
}

int TreeRows::child(int parent, int32_t token) const {
  const int rows = static_cast<int>(tokens.size());
  for (int row = parent + 1; row < rows; ++row) {
    if (tokens[static_cast<size_t>(row)] == token && parent_of(branches, row) == parent) return row;
  }
  return -1;
}

}  // namespace orthrus
