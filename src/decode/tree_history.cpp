#include "decode/tree_history.h"

#include <algorithm>
#include <cmath>

namespace orthrus {
namespace {

constexpr double kRate = 0.1;  // a running mean's share of the new value

// What it begins with: about what heads are like whose trees of 32 have five drafts accepted.
constexpr double kFirstReached = 0.5, kFewer = 10;
constexpr int kUsualNodes = 31;

}  // namespace

TreeHistory::TreeHistory() {
  for (size_t i = 0; i < reached_.size(); ++i) {
    reached_[i] = kFirstReached * std::exp(-static_cast<double>(i) / kFewer);
    if (i < kUsualNodes) usual_ += reached_[i];
  }
}

double TreeHistory::expected(int nodes) const {
  double sum = 0, least = 1;  // none is worth more than one that joined before it
  for (int i = 0; i < nodes; ++i) sum += least = std::min(least, reached_[static_cast<size_t>(i)]);
  return sum;
}

void TreeHistory::observe(std::span<const DraftNode> nodes) {
  double sum = 0;
  for (size_t i = 0; i < nodes.size(); ++i) {
    reached_[i] += (nodes[i].reached - reached_[i]) * kRate;
    sum += nodes[i].reached;
  }
  usual_ += (sum - usual_) * kRate;
}

}  // namespace orthrus
