// A row of logits that the blocks of a cluster, or one block, look at together: its scores, which
// are logits over the temperature, the largest of them, and which tokens the filters keep.
#pragma once

#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/select.h"

namespace orthrus::cuda {

inline constexpr int kRowThreads = 512;  // of a block
inline constexpr int kRowWarps = kRowThreads / 32;
inline constexpr int kManyBlocks = 8;          // of a cluster that shares a row
inline constexpr int kSmallVocabulary = 8192;  // a block alone is as fast

// A place in the order of tokens, likelier first and then lower ids first. 0 is none's.
using Key = unsigned long long;

// Which tokens a filter keeps: all whose place in the order is at least this. Coarsely it is how
// far the score is below the top, then key_of.
struct Floor {
  int coarse = 0;
  Key key = 0;
};

// Larger for larger scores, and for lower ids among equal ones.
__device__ inline Key key_of(float score, int id) {
  const uint32_t bits = __float_as_uint(score == 0 ? 0.0f : score);
  const uint32_t ordered = bits ^ (bits >> 31 ? 0xFFFFFFFFu : 0x80000000u);
  return static_cast<Key>(ordered) << 32 | ~static_cast<uint32_t>(id);
}

__device__ inline int id_of(Key key) {
  return static_cast<int>(~static_cast<uint32_t>(key));
}

__device__ inline float score_of(Key key) {
  const auto ordered = static_cast<uint32_t>(key >> 32);
  return __uint_as_float(ordered ^ (ordered >> 31 ? 0x80000000u : 0xFFFFFFFFu));
}

// One row, of which this block has a slice. Every thread of the cluster calls every function, but
// for those of one token.
template <int kBlocks>
class LogitsRow {
 public:
  static constexpr int kBins = 2048;

  struct Shared {
    unsigned long long bins[kBins];
    unsigned long long warp[kRowWarps];
    unsigned long long block;  // of the whole block, for other blocks of the cluster
    int found;
    unsigned long long above, in_bin;
  };

  __device__ LogitsRow(const float* logits, int vocabulary, const SelectRow& how, Shared& shared)
      : logits_(logits), vocabulary_(vocabulary), how_(how), s_(shared) {
    const int quads = (vocabulary + 3) / 4, slice = (quads + kBlocks - 1) / kBlocks;
    const int rank = kBlocks > 1 ? static_cast<int>(cluster_rank()) : 0;
    first_quad_ = min(rank * slice, quads), end_quad_ = min(first_quad_ + slice, quads);
    aligned_ = reinterpret_cast<uintptr_t>(logits) % 16 == 0;
  }

  // To begin with: finds the likeliest token. False where a score is not finite.
  __device__ bool find_top() {
    float best = -INFINITY;
    int best_id = -1;
    bool finite = true;
    for_each([&](float score, int id) {  // ids ascend
      finite = finite && isfinite(score);
      if (score > best) best = score, best_id = id;
    });
    const Key own = !finite ? ~Key{0} : best_id < 0 ? Key{0} : key_of(best, best_id);
    const Key top = reduce(own, [](auto a, auto b) { return max(a, b); });
    own_top_ = own;
    if (top == ~Key{0}) return false;
    top_ = score_of(top), likeliest_ = id_of(top);
    return true;
  }
  __device__ int likeliest() const { return likeliest_; }
  __device__ float top() const { return top_; }  // its score
  // Of the tokens that for_each calls this thread's f with: the likeliest one's, or 0.
  __device__ Key own_top() const { return own_top_; }

  // From here on those that the parameters' filters leave are kept.
  __device__ void filter() {
    if (how_.top_k > 0 && how_.top_k < vocabulary_) {
      keep(static_cast<unsigned long long>(how_.top_k), [](float) { return 1ull; });
    }
    const auto mass = [this](float score) { return mass_of(score); };
    if (how_.top_p < 1) {
      const double share = static_cast<double>(how_.top_p) * static_cast<double>(kept_mass());
      keep(max(1ull, static_cast<unsigned long long>(ceil(share))), mass);
    }
    // min-p: a last filter, which needs no search.
    if (how_.min_p > 0) {
      least_ = static_cast<double>(top_) + log(static_cast<double>(how_.min_p));
    }
  }

  __device__ bool first_thread() const {
    return threadIdx.x == 0 && (kBlocks == 1 || cluster_rank() == 0);
  }
  __device__ float score_at(int id) const { return __fdiv_rn(logits_[id], how_.temperature); }

  // In units of 2^-40 of the top's.
  __device__ unsigned long long mass_of(float score) const {
    const double below = static_cast<double>(score) - static_cast<double>(top_);
    if (below < -29) return 0;
    return static_cast<unsigned long long>(__double2ll_rn(exp(below) * 0x1p40));
  }
  __device__ bool kept(float score, int id) const {
    const int coarse = coarse_of(score);
    return (coarse > floor_.coarse ||
            (coarse == floor_.coarse && key_of(score, id) >= floor_.key)) &&
           static_cast<double>(score) >= least_;
  }

  // Calls f(score, id) with every token of the slice.
  template <typename F>
  __device__ void for_each(F f) const {
    for_each_quad([&](const float(&score)[4], int quad, int count) {
      for (int i = 0; i < 4; ++i) {
        if (i < count) f(score[i], 4 * quad + i);
      }
    });
  }
  template <typename F>
  __device__ void for_each_quad(F f) const {
    for (int first = first_quad_ + static_cast<int>(threadIdx.x); first < end_quad_;
         first += kLoads * kRowThreads) {
      float score[kLoads][4] = {};
#pragma unroll
      for (int load = 0; load < kLoads; ++load) {
        if (const int quad = first + load * kRowThreads; quad < end_quad_) fetch(quad, score[load]);
      }
#pragma unroll
      for (int load = 0; load < kLoads; ++load) {
        const int quad = first + load * kRowThreads;
        if (quad >= end_quad_) break;
        if (how_.temperature != 1) {
#pragma unroll
          for (float& s : score[load]) s = __fdiv_rn(s, how_.temperature);
        }
        f(score[load], quad, min(4, vocabulary_ - 4 * quad));
      }
    }
  }

  __device__ void sync() const {
    if constexpr (kBlocks > 1) {
      cluster_sync();
    } else {
      __syncthreads();
    }
  }

  // Of every thread's value; every thread has the result.
  template <typename Op>
  __device__ unsigned long long reduce(unsigned long long value, Op op) {
    for (int step = 16; step > 0; step /= 2) value = op(value, __shfl_xor_sync(~0u, value, step));
    if (threadIdx.x % 32 == 0) s_.warp[threadIdx.x / 32] = value;
    __syncthreads();
    if (threadIdx.x == 0) {
      for (int w = 1; w < kRowWarps; ++w) value = op(value, s_.warp[w]);
      s_.block = value;
    }
    sync();
    value = *at_rank(&s_.block, 0);
    for (int rank = 1; rank < kBlocks; ++rank) value = op(value, *at_rank(&s_.block, rank));
    sync();  // all have read
    return value;
  }

  __device__ unsigned long long kept_mass() {
    unsigned long long sum = 0;
    for_each([&](float score, int id) {
      if (kept(score, id)) sum += mass_of(score);
    });
    return reduce(sum, [](auto a, auto b) { return a + b; });
  }

 private:
  static constexpr int kBinsOfThread = kBins / kRowThreads;
  static constexpr float kBinsOfUnit = 64;  // of score, coarsely
  static constexpr int kLoads = 2;          // at once, of a thread

  __device__ void fetch(int quad, float (&logits)[4]) const {
    if (aligned_ && 4 * quad + 4 <= vocabulary_) {
      const float4 v = *reinterpret_cast<const float4*>(logits_ + 4 * quad);
      logits[0] = v.x, logits[1] = v.y, logits[2] = v.z, logits[3] = v.w;
    } else {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        if (4 * quad + i < vocabulary_) logits[i] = logits_[4 * quad + i];
      }
    }
  }

  __device__ int coarse_of(float score) const {
    return kBins - 1 - static_cast<int>(fminf((top_ - score) * kBinsOfUnit, kBins - 1.0f));
  }

  // Of the tokens kept, goes on keeping the first in order whose weights come to `target`, which is
  // at most the weights of all: digit by digit of the last one's place.
  template <typename Weight>
  __device__ void keep(unsigned long long target, Weight weight) {
    Floor to;
    unsigned long long above = 0;  // the weights of all in front of to's digits so far
    constexpr int kWidths[] = {11, 11, 10, 11, 11, 10};
    int shift = 64;
    for (int level = 0; level <= 6; ++level) {
      const int width = level == 0 ? 0 : kWidths[level - 1];
      const int higher = shift;  // of the key, the bits from here on are known
      shift -= width;
      const auto digit = [&](float score, int id) {
        if (level == 0) return coarse_of(score);
        return static_cast<int>(key_of(score, id) >> shift) & ((1 << width) - 1);
      };
      for (int i = static_cast<int>(threadIdx.x); i < kBins; i += kRowThreads) s_.bins[i] = 0;
      __syncthreads();
      for_each([&](float score, int id) {
        if (!kept(score, id)) return;
        if (level > 0 && coarse_of(score) != to.coarse) return;
        if (level > 1 && (key_of(score, id) ^ to.key) >> higher != 0) return;
        const unsigned long long w = weight(score);
        if (w > 0) atomicAdd(&s_.bins[digit(score, id)], w);
      });
      sync();
      find_bin(target - above);
      const unsigned long long in_bin = s_.in_bin;
      above += s_.above;
      if (level == 0) {
        to.coarse = s_.found;
      } else {
        to.key |= static_cast<unsigned long long>(s_.found) << shift;
      }
      sync();  // all have read
      // All of the bin is kept, or it is one token.
      if (above + in_bin == target || (level == 3 && in_bin == weight(score_of(to.key)))) break;
    }
    // What an earlier filter cut off of the last bin stays cut off.
    if (to.coarse != floor_.coarse || to.key > floor_.key) floor_ = to;
  }

  // The highest bin at and above which the cluster's bins come to `target`; how much is above it,
  // and in it. Every block computes the same.
  __device__ void find_bin(unsigned long long target) {
    const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
    // Thread t has the bins from the (t + 1)-th group down.
    const int first = kBins - (thread + 1) * kBinsOfThread;
    unsigned long long bins[kBinsOfThread] = {}, sum = 0;
    for (int rank = 0; rank < kBlocks; ++rank) {
      const unsigned long long* const of_rank = at_rank(s_.bins, rank);
#pragma unroll
      for (int i = 0; i < kBinsOfThread; ++i) bins[i] += of_rank[first + i];
    }
#pragma unroll
    for (int i = 0; i < kBinsOfThread; ++i) sum += bins[i];
    unsigned long long up_to = sum;  // of this thread's bins and those above
    for (int step = 1; step < 32; step *= 2) {
      const unsigned long long other = __shfl_up_sync(~0u, up_to, step);
      if (lane >= step) up_to += other;
    }
    if (lane == 31) s_.warp[warp] = up_to;
    __syncthreads();
    for (int w = 0; w < warp; ++w) up_to += s_.warp[w];
    unsigned long long above = up_to - sum;
    if (above < target && up_to >= target) {
#pragma unroll
      for (int i = kBinsOfThread - 1; i >= 0; --i) {
        if (above < target && above + bins[i] >= target) {
          s_.found = first + i, s_.above = above, s_.in_bin = bins[i];
        }
        above += bins[i];
      }
    }
    __syncthreads();
  }

  const float* logits_;
  int vocabulary_;
  SelectRow how_;
  Shared& s_;
  int first_quad_, end_quad_;
  bool aligned_;
  Key own_top_ = 0;
  float top_ = 0;
  int likeliest_ = -1;
  Floor floor_;
  double least_ = -INFINITY;  // scores below are not kept
};

}  // namespace orthrus::cuda
