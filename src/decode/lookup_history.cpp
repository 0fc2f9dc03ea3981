#include "decode/lookup_history.h"

#include <algorithm>

namespace orthrus {
namespace {

// The shortest match of each bin; those of 1 to 5 tokens that are near have one each, behind these.
constexpr std::array kBegins = {0, 3, 4, 5, 6, 8, 10, 13, 17, 25};
constexpr int kMostNear = 5;
// What drafts of each are taken to be worth at first: what they were in answers that write code,
// explain, and edit.
constexpr std::array kFirstGuess = {0.45, 0.55, 0.68, 0.74, 0.81, 0.85, 0.87, 0.9,
                                    0.95, 0.97, 0.35, 0.65, 0.72, 0.78, 0.81};
constexpr double kFirstWeight = 5;     // the first guess is worth so many drafts
constexpr double kPriorWeight = 3;     // of a text, the long run is
constexpr double kLongMemory = 0.995;  // of a bin, at each draft: about the last 200 count
constexpr double kTextMemory = 0.98;   // and the last 50

}  // namespace

void LookupHistory::Bin::observe(bool is_right, double memory) {
  right = right * memory + (is_right ? 1 : 0);
  seen = seen * memory + 1;
}

LookupHistory::LookupHistory() {
  static_assert(kBegins.size() + kMostNear == kBins && kFirstGuess.size() == kBins);
  for (size_t i = 0; i < bins_.size(); ++i) {
    bins_[i] = {kFirstWeight * kFirstGuess[i], kFirstWeight};
  }
}

int LookupHistory::bin_of(int match, bool near) {
  if (near && match <= kMostNear) return static_cast<int>(kBegins.size()) + std::max(match, 1) - 1;
  const auto after = std::upper_bound(kBegins.begin(), kBegins.end(), match);
  return std::max(static_cast<int>(after - kBegins.begin()) - 1, 0);
}

double LookupHistory::acceptance(int match, bool near) const {
  const Bin& bin = bins_[bin_of(match, near)];
  return bin.right / bin.seen;
}

void LookupHistory::observe(int match, bool near, bool right) {
  bins_[bin_of(match, near)].observe(right, kLongMemory);
}

double RecentLookups::acceptance(int match, bool near) const {
  const LookupHistory::Bin& bin = bins_[LookupHistory::bin_of(match, near)];
  return (bin.right + kPriorWeight * history_->acceptance(match, near)) / (bin.seen + kPriorWeight);
}

void RecentLookups::observe(int match, bool near, bool right) {
  bins_[LookupHistory::bin_of(match, near)].observe(right, kTextMemory);
  history_->observe(match, near, right);
}

}  // namespace orthrus
