// What the nodes of draft trees are worth, by when they join: the likeliest first.
#pragma once

#include <array>
#include <span>

#include "decode/draft_tree.h"

namespace orthrus {

// Of trees that were verified lately: with what probability the node in each place was accepted.
class TreeHistory {
 public:
  TreeHistory();

  // How many drafts of so many nodes are expected to be accepted, and of the usual tree.
  double expected(int nodes) const;
  double usual() const { return usual_; }

  void observe(std::span<const DraftNode> nodes);

 private:
  std::array<double, kMostTreeNodes> reached_{};  // a running mean; of places not seen as before
  double usual_ = 0;                              // likewise of the sum of a tree's
};

}  // namespace orthrus
