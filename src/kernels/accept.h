// Which tokens a verified block gives: the rule of dual-view decoding, for whoever applies it.
#pragma once

#include <cstdint>

#include "base/strict_math.h"

#ifdef __CUDACC__
#define ORTHRUS_HOST_DEVICE __host__ __device__
#else
#define ORTHRUS_HOST_DEVICE
#endif

namespace orthrus {

struct Acceptance {
  int emitted = 0;      // y_0, y_1, ...
  int accepted = 0;     // drafts among them
  bool failed = false;  // nothing was chosen, not even y_0
};

// Accepts the drafts d_1 .. d_n of a block, `drafts`, while they are what the AR view chooses
// itself: emits y_0, and y_{i+1} as long as y_i == d_{i+1}.
//
// chosen(i) is y_i, or negative where none could be chosen: what was emitted before stands, as in
// plain decoding, which fails one step later. emit(y) says whether more may follow.
#ifdef __CUDACC__
#pragma nv_exec_check_disable
#endif
template <typename Chosen, typename Emit>
ORTHRUS_HOST_DEVICE Acceptance accept_drafts(const int32_t* drafts, int n, Chosen chosen,
                                             Emit emit) {
  Acceptance result;
  for (int i = 0; i <= n; ++i) {
    const int32_t y = chosen(i);
    if (y < 0) {
      result.failed = i == 0;
      break;
    }
    const bool more = emit(y);
    ++result.emitted;
    if (i == n || y != drafts[i]) break;
    ++result.accepted;
    if (!more) break;
  }
  return result;
}

}  // namespace orthrus
