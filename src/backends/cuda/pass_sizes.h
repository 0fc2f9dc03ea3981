// The sizes that the kernels of a pass are launched for.
#pragma once

#include <algorithm>
#include <array>
#include <compare>

#include "base/view.h"

namespace orthrus::cuda {

// Larger passes take long enough to launch kernel by kernel.
inline constexpr int kMostGraphRows = 128;
inline constexpr int kLeastPositions = 1024;

// The number of rows that a pass of `rows` is computed as.
inline int bucket_of(int rows) {
  if (rows <= 2) return rows;
  for (const int bucket : {4, 8, 16, 24, 32, 48, 64, 96, 128}) {
    if (rows <= bucket) return bucket;
  }
  return (rows + 127) / 128 * 128;
}

// Counts, each rounded up to one of a few sizes.
struct PassSizes {
  PerView<int> rows{};
  int logits = 0;                   // rows of the LM head whose logits are needed
  int tops = 0;                     // and of which the largest is
  bool sampled = false;             // tokens are chosen from the logits
  bool chained = false;             // or drafts are, in chains
  bool offered = false;             // or the best few are asked for
  bool adjusted = false;            // of which some have a context
  bool branched = false;            // some spans are branches of trees
  bool alone = false;               // a view's rows are one span
  int positions = kLeastPositions;  // contexts are at most so long

  int all_rows() const { return rows.ar + rows.diffusion; }
  // Of a view's rows: those of the AR view come before the diffusion view's.
  int first_row(View view) const { return view == View::kAutoregressive ? 0 : rows.ar; }
  int head_rows() const { return logits + tops; }
  // Whose copies of the MLPs and of the LM head the pass is computed with. Drafts that are made
  // beside rows of the AR view take that view's, and are as good.
  View shared_view() const { return rows.ar > 0 ? View::kAutoregressive : View::kDiffusion; }
  auto operator<=>(const PassSizes&) const = default;

  // The sizes counted so far, to one of a few; those above one row to `least` at least.
  void round_up(int longest, int least = 1) {
    for (int* const count : {&rows.ar, &rows.diffusion, &logits, &tops}) {
      *count = bucket_of(*count > 1 ? std::max(*count, least) : *count);
    }
    while (positions < longest) positions *= 2;
  }
};

}  // namespace orthrus::cuda
