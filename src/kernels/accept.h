// Which tokens a verified block gives: the rule of dual-view decoding, for whoever applies it.
#pragma once

#include <cstdint>

#include "base/host_device.h"
#include "base/strict_math.h"

namespace orthrus {

struct Acceptance {
  int emitted = 0;      // y_0, y_1, ...
  int accepted = 0;     // drafts among them
  bool failed = false;  // nothing was chosen, not even y_0
};

// Walks down a tree of drafts whose root is the anchor, row 0, while they are what the AR view
// chooses itself: emits y_0, and what is chosen behind each draft that is what was emitted.
//
// chosen(row) is what the AR view chooses behind a row, or negative where none could be chosen:
// what was emitted before stands, as in plain decoding, which fails one step later. child(row, y)
// is the row of draft y behind that one, or negative where there is none. emit(y) says whether more
// may follow.
#ifdef __CUDACC__
#pragma nv_exec_check_disable
#endif
template <typename Chosen, typename Child, typename Emit>
ORTHRUS_HOST_DEVICE Acceptance accept_path(Chosen chosen, Child child, Emit emit) {
  Acceptance result;
  for (int row = 0;;) {
    const int32_t y = chosen(row);
    if (y < 0) {
      result.failed = result.emitted == 0;
      break;
    }
    const bool more = emit(y);
    ++result.emitted;
    row = child(row, y);
    if (row < 0) break;
    ++result.accepted;
    if (!more) break;
  }
  return result;
}

// A chain: row i has one draft behind it, d_{i+1} of `drafts`, d_1 .. d_n, row n none.
struct ChainOfDrafts {
  const int32_t* drafts;
  int n;

  ORTHRUS_HOST_DEVICE int operator()(int row, int32_t y) const {
    return row < n && drafts[row] == y ? row + 1 : -1;
  }
};

#ifdef __CUDACC__
#pragma nv_exec_check_disable
#endif
template <typename Chosen, typename Emit>
ORTHRUS_HOST_DEVICE Acceptance accept_drafts(const int32_t* drafts, int n, Chosen chosen,
                                             Emit emit) {
  return accept_path(chosen, ChainOfDrafts{drafts, n}, emit);
}

}  // namespace orthrus
