// How likely a lookup draft is to be accepted, given how many tokens before it are the same as at
// the place it comes from, and whether that is near to where the text was copied before.
#pragma once

#include <array>

namespace orthrus {

// In the long run. Of drafts whose predecessors were all right, the share that was right too, by
// the match before them, which each right one makes longer by one. Recent drafts count more.
class LookupHistory {
 public:
  static constexpr int kBins = 15;  // of lengths of matches, near and elsewhere

  LookupHistory();
  // P(right | all before it right) of a draft with a match of so many tokens before it.
  double acceptance(int match, bool near) const;
  void observe(int match, bool near, bool right);

 private:
  friend class RecentLookups;
  struct Bin {
    double right = 0, seen = 0;
    void observe(bool is_right, double memory);
  };
  static int bin_of(int match, bool near);

  std::array<Bin, kBins> bins_;
};

// Of one text, which may quote itself more than others or less: what was seen in it, and as long as
// that is little the long run. What is observed here becomes part of that.
class RecentLookups {
 public:
  explicit RecentLookups(LookupHistory& history) : history_(&history) {}

  double acceptance(int match, bool near) const;
  void observe(int match, bool near, bool right);

 private:
  LookupHistory* history_;
  std::array<LookupHistory::Bin, LookupHistory::kBins> bins_{};
};

}  // namespace orthrus
