// What a forward pass takes, by its number of rows, learnt from the passes that ran.
#pragma once

#include <array>

namespace orthrus {

// What a forward pass took.
struct PassTime {
  double seconds = 0;
  int rows = 0;        // of all its spans
  bool draft = false;  // all of them in the diffusion view
};

// Plain steps, verify passes, prefill chunks and mixtures cost nearly the same for a number of
// rows, and share a table. Draft passes, which may have weights of another type, have their own;
// where one of the tables knows nothing of a number of rows, the other one's time stands in, by the
// ratio of the two elsewhere. Each number of rows keeps its last few times, of which the median
// stands against the outliers of a machine that others use too.
class PassTimes {
 public:
  void add(const PassTime& pass) { add(pass.draft ? drafts_ : passes_, pass.rows, pass.seconds); }

  // How often a pass of so many rows was seen that was no draft, at most kKept.
  int seen(int rows) const { return passes_[index_of(rows)].count; }

  // Expected seconds: between numbers of rows that were seen, the straight line; beyond the
  // largest, in proportion. No more than a larger pass takes. 0 before any was seen.
  double expected(int rows) const { return expected(passes_, drafts_, 1 / draft_ratio_, rows); }
  double expected_draft(int rows) const { return expected(drafts_, passes_, draft_ratio_, rows); }

  static constexpr int kKept = 7;

 private:
  // Every number of rows up to 64 has its own, 32 together beyond that, the last all the rest.
  static constexpr int kExact = 64;
  static constexpr int kWide = 32;
  static constexpr int kBuckets = kExact + 32;
  struct Bucket {
    std::array<float, kKept> seconds{};
    int count = 0;
    int next = 0;
    double median = 0;
  };
  using Table = std::array<Bucket, kBuckets>;

  static int index_of(int rows);
  static double rows_of(int index);  // in the middle of the bucket
  void add(Table& table, int rows, double seconds);
  static double expected(const Table& table, const Table& other, double ratio, int rows);

  Table passes_{}, drafts_{};
  double draft_ratio_ = 1;  // of the drafts' times to the passes', the median of what both know
};

}  // namespace orthrus
