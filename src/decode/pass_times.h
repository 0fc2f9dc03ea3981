// What a forward pass takes, by its number of rows, learnt from the passes that ran.
#pragma once

#include <array>

namespace orthrus {

// Both views cost nearly the same for a number of rows, and so do prefill chunks: one table serves
// all passes, whatever mixture of spans they had. Each number of rows keeps its last few times, of
// which the median stands against the outliers of a machine that others use too.
class PassTimes {
 public:
  void add(int rows, double seconds);

  // How often a pass of so many rows was seen, at most kKept.
  int seen(int rows) const { return bucket(rows).count; }

  // Expected seconds: between numbers of rows that were seen, the straight line; beyond the
  // largest, in proportion. No more than a larger pass takes. 0 before any was seen.
  double expected(int rows) const;

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

  static int index_of(int rows);
  static double rows_of(int index);  // in the middle of the bucket
  const Bucket& bucket(int rows) const { return buckets_[index_of(rows)]; }

  std::array<Bucket, kBuckets> buckets_{};
};

}  // namespace orthrus
