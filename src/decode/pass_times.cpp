#include "decode/pass_times.h"

#include <algorithm>
#include <limits>

namespace orthrus {

int PassTimes::index_of(int rows) {
  if (rows <= kExact) return std::max(rows, 1) - 1;
  return std::min(kExact + (rows - kExact - 1) / kWide, kBuckets - 1);
}

double PassTimes::rows_of(int index) {
  if (index < kExact) return index + 1;
  return kExact + (index - kExact + 0.5) * kWide;
}

void PassTimes::add(Table& table, int rows, double seconds) {
  Bucket& bucket = table[index_of(rows)];
  bucket.seconds[bucket.next] = static_cast<float>(seconds);
  bucket.next = (bucket.next + 1) % kKept;
  bucket.count = std::min(bucket.count + 1, kKept);
  std::array<float, kKept> sorted;
  sorted.fill(std::numeric_limits<float>::infinity());
  std::copy_n(bucket.seconds.begin(), bucket.count, sorted.begin());
  std::sort(sorted.begin(), sorted.end());
  bucket.median = sorted[(bucket.count - 1) / 2];

  std::array<double, kBuckets> ratios;
  int both = 0;
  for (int i = 0; i < kBuckets; ++i) {
    if (passes_[i].count == 0 || drafts_[i].count == 0) continue;
    ratios[both++] = drafts_[i].median / std::max(passes_[i].median, 1e-9);
  }
  if (both == 0) return;
  std::nth_element(ratios.begin(), ratios.begin() + both / 2, ratios.begin() + both);
  draft_ratio_ = std::max(ratios[both / 2], 1e-3);
}

double PassTimes::expected(const Table& table, const Table& other, double ratio, int rows) {
  // What the tables say of a bucket; 0 if nothing.
  const auto said = [&](int i) {
    if (table[i].count > 0) return table[i].median;
    return other[i].count > 0 ? other[i].median * ratio : 0.0;
  };
  const int at = index_of(rows);
  // A time too large, seen once and never again, would bar its number of rows for good: larger
  // passes that took less say better.
  double above = 0;  // the least of passes as large or larger, and how large that one was
  double above_rows = 0;
  for (int i = at; i < kBuckets; ++i) {
    const double time = said(i);
    if (time == 0) continue;
    if (above_rows == 0 || time < above) {
      above = time;
      above_rows = rows_of(i);
    }
  }
  if (above_rows == rows_of(at)) return above;
  int below_at = at - 1;
  while (below_at >= 0 && said(below_at) == 0) --below_at;
  if (below_at < 0) return above;  // fewer rows than any that was seen
  const double below = said(below_at);
  const double below_rows = rows_of(below_at);
  if (above_rows == 0) {
    // Beyond the largest, on the line from the smallest: between costing nothing and costing in
    // proportion, which is what a table of one entry has to assume.
    int first = 0;
    while (said(first) == 0) ++first;
    const double first_rows = rows_of(first);
    const double slope = first_rows == below_rows
                             ? below / below_rows
                             : (below - said(first)) / (below_rows - first_rows);
    return below + std::clamp(slope, 0.0, below / below_rows) * (rows_of(at) - below_rows);
  }
  const double share = (rows_of(at) - below_rows) / (above_rows - below_rows);
  return below + (above - below) * share;
}

}  // namespace orthrus
