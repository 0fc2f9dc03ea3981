// The pairwise term of the candidates of neighbouring rows, on the tensor cores.
#pragma once

#include "kernels/cuda/pairwise.h"
#include "kernels/cuda/ptx.cuh"

namespace orthrus::cuda {

// The terms of a row's candidates behind kBefore tokens, over the temperature. A warp's: they are
// products of tiles of both tables, of 16 tokens times 8. Four lanes have what there is of a token
// before.
class PairTerms {
 public:
  static constexpr int kBefore = 16;

  // Where there is no token (-1) its terms are some numbers.
  __device__ PairTerms(const PairTables& tables, const int32_t* before, const int32_t* candidates,
                       float temperature) {
    const auto* const previous = reinterpret_cast<const uint4*>(tables.previous);
    const auto* const next = reinterpret_cast<const uint4*>(tables.next);
    const int chunks = tables.rank / 8;
    const auto at = [&](int id) {
      return static_cast<size_t>(max(id, 0)) * static_cast<size_t>(chunks) + column();
    };
    // Eight columns side by side are a lane's, in place of the fragments' pairs: they are the same
    // in both tables, and the order of the sum is ours to choose.
    const size_t a[2] = {at(before[group()]), at(before[group() + 8])};
    size_t b[kTiles];
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) b[tile] = at(candidates[tile * 8 + group()]);
#pragma unroll 1
    for (int chunk = 0; chunk < chunks; chunk += 4) {
      const uint4 x = previous[a[0] + chunk], y = previous[a[1] + chunk];
      uint4 z[kTiles];
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) z[tile] = next[b[tile] + chunk];
      const uint32_t low[4] = {x.x, y.x, x.y, y.y}, high[4] = {x.z, y.z, x.w, y.w};
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) {
        multiply_add(terms_[tile], low, z[tile].x, z[tile].y);
        multiply_add(terms_[tile], high, z[tile].z, z[tile].w);
      }
    }
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
      for (float& term : terms_[tile]) term = __fdiv_rn(term, temperature);
    }
  }

  // A lane's tokens before: group() and group() + 8.
  __device__ static int group() {
    return static_cast<int>(threadIdx.x) % 32 / 4;
  }
  __device__ static int column() {
    return static_cast<int>(threadIdx.x) % 4;
  }

  // Calls f(candidate, term) with this lane's behind group() + 8 * side.
  template <typename F>
  __device__ void for_each(int side, F f) const {
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
      for (int i = 0; i < 2; ++i) f(tile * 8 + column() * 2 + i, terms_[tile][side * 2 + i]);
    }
  }

 private:
  static constexpr int kTiles = kPairCandidates / 8;  // of eight candidates

  float terms_[kTiles][4] = {};
};

}  // namespace orthrus::cuda
