// All layers of a pass in one kernel; see layers.h.
//
// A cluster of four blocks has tiles of each matrix's rows, and the blocks of a cluster the parts
// of K, which they add up through each other's shared memory as the streaming products do. One warp
// of a block fetches the weights of all its tiles, phase after phase and layer after layer, through
// one ring; another one keys and values; eight multiply, and do all the rest. A layer has five
// phases, between which all blocks meet: q, k and v with the norm before them; attention, its
// splits apart; the merge of splits and o; gate and up with the norm before them; down. Tokens of a
// phase lie in shared memory, where every block puts those columns that its part of K takes. Where
// there is much to merge, that is a phase of its own.
#include <algorithm>

#include "kernels/cuda/attention_fetch.cuh"
#include "kernels/cuda/attention_merge.cuh"
#include "kernels/cuda/device_features.h"
#include "kernels/cuda/grid_barrier.cuh"
#include "kernels/cuda/launch.h"
#pragma once

#include "kernels/cuda/attention_fetch.cuh"
#include "kernels/cuda/attention_merge.cuh"
#include "kernels/cuda/grid_barrier.cuh"
#include "kernels/cuda/layers_ring.cuh"

namespace orthrus::cuda::in_one {

__device__ long long g_stamps[132][64];
#define STAMP(i) static_cast<void>(0)

// Bytes of queries and what warps exchange, and the ring of tiles behind them.
inline constexpr int kQueryBytes = 8192;
template <int D>
inline constexpr int kTiles = D == 64 ? 3 : 2;
template <int D>
inline constexpr int kAttentionBytes = kQueryBytes + kTiles<D>* Layout<D>::kTileBytes;
static_assert(kFewRows * 128 * 2 + sizeof(Exchange) <= kQueryBytes);

template <int D, int T>
struct Shared {
  uint64_t full[kMostStages], empty[kMostStages];
  uint64_t tile_full[kTiles<D>], tile_empty[kTiles<D>];
  uint64_t parts;  // the cluster's blocks have sent their sums
  Share shares[kMatrices];
  float norm_sums[kRowsAtOnce][kNormWarps];
  int splits[T];  // of a row's attention
  MergeFactors<kMergeBatch> factors[kMathWarps];
};

// Of this pass's rows nothing is fetched before all blocks have stored theirs.
template <int D>
__device__ void fetch_keys(const LayersJob& job, const AttentionPlan& plan, uint8_t* tiles,
                           Ring<D> ring) {
  const GridBarrier grid(job.arrived);
  AttentionItem item;
  for (int layer = 0; layer < job.layer_count; ++layer) {
    const AttentionJob attention = job.attention_of(layer);
    const auto wait = [&] {
      if (threadIdx.x % 32 == 0) {
        grid.wait(static_cast<unsigned>(layer * job.phases() + 1));
        fence_copies();
      }
      __syncwarp();
    };
    for (int i = static_cast<int>(blockIdx.x); find_item(attention, plan, i, item);
         i += static_cast<int>(gridDim.x)) {
      fetch_tiles<D>(attention, item, tiles, ring, wait);
    }
  }
}

// What the warps that multiply do, all of them together but in attention.
template <int D, int T>
class Layers {
 public:
  __device__ Layers(const LayersJob& job, const AttentionPlan& plan, int tokens, uint8_t* memory,
                    Shared<D, T>& shared, const Ring<D>& tiles)
      : job_(job),
        plan_(plan),
        tokens_(tokens),
        memory_(memory),
        shared_(shared),
        tiles_(tiles),
        grid_(job.arrived) {}

  __device__ void run() {
    for (int layer = 0; layer < job_.layer_count; ++layer) {
      const PackedLayer& weights = job_.layers[layer];
      layer_ = layer;
      project(weights, layer);
      attend(layer);
      if (job_.merged_apart) merge();
      add_output();
      gate(weights);
      add_down();
    }
    if (threadIdx.x == 0) grid_.leave(phase_);
  }

 private:
  static constexpr int kOwnTokens = T / kCluster;
  static constexpr int kMeet = 2;  // barrier 1 is that of the functions called

  __device__ static void meet() { named_barrier(kMeet, kMathThreads); }
  __device__ static int warp() { return static_cast<int>(threadIdx.x) / 32; }
  __device__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }

  // For what other blocks made in the phases before.
  __device__ void begin_phase() {
    STAMP(0);
    if (threadIdx.x == 0) grid_.wait(phase_);
    meet();
    STAMP(1);
  }
  // What was stored may be read by other blocks.
  __device__ void end_phase() {
    STAMP(7);
    meet();
    STAMP(8);
    if (threadIdx.x == 0) grid_.arrive();
    STAMP(9);
    base_ += 10;
    if (base_ == 10 * job_.phases()) base_ = 0;
    ++phase_;
  }

  // Four numbers of a token, from `column` of the block's part of K on.
  __device__ uint8_t* token_at(int token, int column) const {
    const int in_block = column % kBlockK;
    return memory_ + job_.tokens_at + (column / kBlockK * T + token) * kBlockK * 2 +
           (((in_block / 8) ^ (token % 8)) << 4) + in_block % 8 * 2;
  }
  __device__ void tokens_stored() {
    fence_shared();
    meet();
    STAMP(3);
  }

  // The block's columns of the norm of all tokens.
  __device__ void norm(const __nv_bfloat16* weights, const Share& share) {
    const int thread = static_cast<int>(threadIdx.x), quads = job_.hidden / 4;
    uint2 w[kNormQuads];
#pragma unroll
    for (int i = 0; i < kNormQuads; ++i) {
      const int quad = thread + i * kMathThreads;
      if (quad < quads) w[i] = reinterpret_cast<const uint2*>(weights)[quad];
    }
    begin_phase();
    for (int first = 0; first < tokens_; first += kRowsAtOnce) {
      const int rows = min(tokens_ - first, kRowsAtOnce);
      const float4* const from = reinterpret_cast<const float4*>(job_.x) + first * quads;
      float4 v[kRowsAtOnce][kNormQuads];
#pragma unroll
      for (int r = 0; r < kRowsAtOnce; ++r) {
        if (r >= rows) break;
#pragma unroll
        for (int i = 0; i < kNormQuads; ++i) {
          const int quad = thread + i * kMathThreads;
          v[r][i] = quad < quads ? from[r * quads + quad] : float4{};
        }
      }
      if (first > 0) meet();  // the sums before have been read
#pragma unroll
      for (int r = 0; r < kRowsAtOnce; ++r) {
        if (r >= rows) break;
#pragma unroll
        for (int i = 0; i < kNormQuads; ++i) {
          const float sum = add_lanes(add_squares(0, v[r][i]));
          if (lane() == 0) shared_.norm_sums[r][warp() + i * kMathWarps] = sum;
        }
      }
      meet();
      STAMP(2);
#pragma unroll
      for (int r = 0; r < kRowsAtOnce; ++r) {
        if (r >= rows) break;
        const float scale = norm_scale(shared_.norm_sums[r], job_.hidden, job_.eps);
#pragma unroll
        for (int i = 0; i < kNormQuads; ++i) {
          const int quad = thread + i * kMathThreads, column = 4 * quad - share.first * kBlockK;
          if (quad >= quads || column < 0 || column >= share.count * kBlockK) continue;
          *reinterpret_cast<uint2*>(token_at(first + r, column)) =
              normed_quad(v[r][i], scale, w[i]);
        }
      }
    }
    tokens_stored();
  }

  // The block's columns of all tokens, `cols` numbers each.
  __device__ void load(const __nv_bfloat16* from, int cols, const Share& share) {
    const int chunks = share.count * kBlockK / 8;
    from += share.first * kBlockK;
    for (int chunk = static_cast<int>(threadIdx.x); chunk < chunks; chunk += kMathThreads) {
      uint4 v[T];
#pragma unroll
      for (int t = 0; t < T; ++t) {
        if (t < tokens_) v[t] = *reinterpret_cast<const uint4*>(from + t * cols + chunk * 8);
      }
#pragma unroll
      for (int t = 0; t < T; ++t) {
        if (t < tokens_) *reinterpret_cast<uint4*>(token_at(t, chunk * 8)) = v[t];
      }
    }
    tokens_stored();
  }

  // A query and head whose splits were computed apart. Returns whether the row has any.
  __device__ bool merge_pair(int token, int head, uint2& merged) {
    const int splits = shared_.splits[token];
    if (splits == 0) return false;
    float v[4] = {};
    const float total =
        merge_splits<D, 4, kMergeBatch>(job_.attention, token * job_.attention.heads.heads + head,
                                        lane() * 4, splits, shared_.factors[warp()], v);
    merged = make_uint2(finished(v[0], v[1], total), finished(v[2], v[3], total));
    return lane() * 4 < D;
  }

  // By all blocks, each for some.
  __device__ void merge() {
    const int heads = job_.attention.heads.heads, pairs = tokens_ * heads;
    begin_phase();
    for (int i = static_cast<int>(blockIdx.x) + warp() * static_cast<int>(gridDim.x); i < pairs;
         i += static_cast<int>(gridDim.x) * kMathWarps) {
      uint2 merged;
      if (merge_pair(i / heads, i % heads, merged)) {
        reinterpret_cast<uint2*>(job_.attention.out + static_cast<size_t>(i) * D)[lane()] = merged;
      }
    }
    end_phase();
  }

  // By each block for its own columns.
  __device__ void merge_own(const Share& share) {
    const int begin = share.first * kBlockK, end = begin + share.count * kBlockK;
    const int first_head = begin / D, heads = (end - 1) / D + 1 - first_head;
    begin_phase();
    for (int i = warp(); i < tokens_ * heads; i += kMathWarps) {
      const int token = i / heads, head = first_head + i % heads;
      const int column = head * D + lane() * 4;
      uint2 merged;
      if (merge_pair(token, head, merged) && column >= begin && column < end) {
        *reinterpret_cast<uint2*>(token_at(token, column - begin)) = merged;
      }
    }
    tokens_stored();
  }

  // Where this block has the numbers that block `split` of those with its tiles sent it of a tile.
  __device__ float* part_at(int splits, int round, int split, int height) const {
    return reinterpret_cast<float*>(memory_ + job_.sums_at) +
           (round * splits + split) * (T * height >> splits / 2);
  }

  // Tiles that the block has a part of.
  __device__ static int own_tiles(const Product& p, const Share& share) {
    int tiles = 0;
    while (tiles < p.rounds && share.tile(tiles) < p.tiles) ++tiles;
    return tiles;
  }

  // The sums of the block's tiles, each sent to the block that finishes it: its row of the tile, or
  // with `kByToken` its token, says which. The two warpgroups take turns; both see every stage go
  // by, since a barrier tells a stage's fetches apart from those before and after only.
  template <int kBoxes, bool kGated, bool kByToken>
  __device__ void multiply(const Product& p, const Share& share, int tiles) {
    constexpr int kHeight = kBoxes * kBoxRows, kRows = kGated ? kHeight / 2 : kHeight;
    // Splits are a power of two; a division would take longer than all else here.
    const int splits = p.splits, log = splits / 2, own_rows = kRows >> log;
    constexpr int kLogRows = kRows == 32 ? 5 : kRows == 64 ? 6 : 7;
    const uint64_t ring = tile_descriptor(shared_address(memory_)),
                   tokens = tile_descriptor(shared_address(memory_ + job_.tokens_at));
    const uint32_t first_rank = cluster_rank() - static_cast<uint32_t>(share.split);
    if (threadIdx.x == 0) {
      const int own_tokens = kByToken ? (tokens_ - share.split + splits - 1) >> log : tokens_;
      const int numbers = own_tokens * (kByToken ? kHeight : kHeight >> log);
      barrier_expect(&shared_.parts, static_cast<uint32_t>(tiles * splits * numbers * 4));
    }
    STAMP(4);
    for (int round = 0; round < tiles; ++round) {
      // Or each has half of a high tile's rows.
      const int half = kBoxes == 4 ? warp() / 4 : 0;
      if (kBoxes < 4 && round % 2 != warp() / 4) {
        for (int k = 0; k < share.count; k += kSlots / kBoxes) {
          barrier_wait(&shared_.full[place_.stage], place_.round & 1);
          __syncwarp();
          if (lane() == 0) barrier_arrive(&shared_.empty[place_.stage]);
          place_.move_on(job_.stages);
        }
        continue;
      }
      const uint32_t to = shared_address(reinterpret_cast<const float*>(memory_ + job_.sums_at) +
                                         (round * splits + share.split) * (T * kHeight >> log));
      const auto send = [&](int i, float number) {
        const int token = lane() % 4 * 2 + i % 2;
        const int row = half * kSubtileRows + warp() % 4 * 16 + lane() / 4 + i / 2 * 8;
        if (token >= tokens_ || row >= kHeight) return;
        const int of_part = row % kRows;
        const int owner = kByToken ? token & (splits - 1) : of_part >> (kLogRows - log);
        const int at = kByToken ? (token >> log) * kHeight + row
                                : (token * (kGated ? 2 : 1) + row / kRows) * own_rows +
                                      (of_part & (own_rows - 1));
        send_to_rank(to + static_cast<uint32_t>(at) * 4, first_rank + static_cast<uint32_t>(owner),
                     number, shared_address(&shared_.parts));
      };
      multiply_tile<T, kBoxes>(ring + (half * 2 * kBoxBytes >> 4), shared_.full, shared_.empty, place_, job_.stages, share.count,
                               tokens, send);
    }
    STAMP(5);
  }

  __device__ void wait_for_parts() { barrier_wait(&shared_.parts, exchanges_++ & 1); STAMP(6); }

  // A number's parts of K, in ascending order.
  __device__ float sum_at(int splits, int round, int height, int at) const {
    float sum = part_at(splits, round, 0, height)[at];
    for (int split = 1; split < splits; ++split) {
      sum += part_at(splits, round, split, height)[at];
    }
    return sum;
  }

  // A tile is a head; a warp has one of the block's tokens in it.
  __device__ void project(const PackedLayer& weights, int layer) {
    const Product& p = job_.products[kQkv];
    const Share& share = shared_.shares[kQkv];
    const Heads& heads = job_.attention.heads;
    const HeadWeights of = {weights.qkv_bias, weights.q_norm, weights.k_norm, job_.rope, job_.eps};
    const KvBatch batch = job_.attention_of(layer).batch;
    const int tiles = own_tiles(p, share), own = (tokens_ - share.split + kCluster - 1) / kCluster;
    const int round = warp() / kOwnTokens, token = share.split + warp() % kOwnTokens * kCluster;
    const bool has_head = round < tiles && warp() % kOwnTokens < own;
    const int head = has_head ? share.tile(round) : 0;
    RowPlace place = {};
    HeadFactors factors = {};
    float low[kRopePairs], high[kRopePairs];
    if (has_head) {
      place = place_of(batch, token);
      factors = head_factors(heads, of, token, head);
      begin_head(heads, of, head, low, high);
    }
    norm(weights.input_norm, share);
    multiply<D / kBoxRows, false, true>(p, share, tiles);
    wait_for_parts();
    if (has_head && place.found()) {
#pragma unroll
      for (int i = 0; i < kRopePairs; ++i) {
        const int d = lane() + 32 * i, at = warp() % kOwnTokens * D + d;
        if (d >= D / 2) continue;
        low[i] = __fadd_rn(low[i], sum_at(kCluster, round, D, at));
        high[i] = __fadd_rn(high[i], sum_at(kCluster, round, D, at + D / 2));
      }
      store_head(heads, of, factors, batch, place, token, head, low, high,
                 const_cast<__nv_bfloat16*>(job_.attention.q));
      fence_copies();  // of keys and values, by other blocks
    }
    end_phase();
  }

  // By the first four warps. Who has nothing to do waits, too: arrivals are counted together.
  __device__ void attend(int layer) {
    if (threadIdx.x < kConsumers) {
      const AttentionJob attention = job_.attention_of(layer);
      const float scale = 1.4426950408889634f / sqrtf(static_cast<float>(D));
      uint8_t* const memory = memory_ + job_.attention_at;
      AttentionItem item;
      STAMP(0);
      int i = static_cast<int>(blockIdx.x);
      bool found = find_item(attention, plan_, i, item);
      STAMP(2);
      if (threadIdx.x == 0) grid_.wait(phase_);
      STAMP(1);
      for (; found; i += static_cast<int>(gridDim.x), found = find_item(attention, plan_, i, item)) {
        named_barrier(1, kConsumers);  // and the queries before are done with
        const Output<D> to{attention, item};
        load_queries<D, kFewRows>(to, memory);
        named_barrier(1, kConsumers);
        STAMP(3);
        attend_few(to, tiles_, after_barrier(shared_address(memory)),
                   *reinterpret_cast<Exchange*>(memory + kFewRows * D * 2), scale, true);
      }
    }
    end_phase();
  }

  template <int kBoxes>
  __device__ void add_tiles(const Product& p, const Share& share) {
    constexpr int kHeight = kBoxes * kBoxRows, kRows = kHeight / kCluster;
    const int tiles = own_tiles(p, share);
    multiply<kBoxes, false, false>(p, share, tiles);
    bool waited = false;
    for (int item = static_cast<int>(threadIdx.x); item < tiles * T * kRows; item += kMathThreads) {
      const int at = item % (T * kRows), token = at / kRows, round = item / (T * kRows);
      const int row = share.tile(round) * kHeight + share.split * kRows + at % kRows;
      if (token >= tokens_ || row >= p.out_rows) continue;
      float* const to = job_.x + token * job_.hidden + row;
      const float old = *to;
      if (!waited) barrier_wait(&shared_.parts, exchanges_ & 1), waited = true;
      STAMP(6);
      *to = old + sum_at(kCluster, round, kHeight, at);
    }
    ++exchanges_;
  }
  __device__ void add(const Product& p, const Share& share) {
    if (p.boxes == 1) {
      add_tiles<1>(p, share);
    } else {
      add_tiles<2>(p, share);
    }
    end_phase();
  }

  __device__ void add_output() {
    const Share& share = shared_.shares[kO];
    if (job_.merged_apart) {
      begin_phase();
      load(job_.attention.out, job_.attention.heads.heads * D, share);
    } else {
      merge_own(share);
    }
    add(job_.products[kO], share);
  }

  __device__ void gate(const PackedLayer& weights) {
    const Product& p = job_.products[kGateUp];
    const Share& share = shared_.shares[kGateUp];
    const int tiles = own_tiles(p, share), log_rows = 5 - p.splits / 2,
              rows = 1 << log_rows;
    norm(weights.post_attention_norm, share);
    multiply<2, true, false>(p, share, tiles);
    wait_for_parts();
    for (int item = static_cast<int>(threadIdx.x); item < tiles * T * rows; item += kMathThreads) {
      const int of_row = item >> log_rows, round = of_row / T, token = of_row % T;
      const int r = item & (rows - 1);
      const int row = share.tile(round) * kBoxRows + share.split * rows + r;
      if (token >= tokens_ || row >= p.out_rows) continue;
      const int at = 2 * token * rows + r;
      job_.gated[static_cast<size_t>(token) * job_.intermediate + row] =
          __float2bfloat16_rn(swiglu(sum_at(p.splits, round, 2 * kBoxRows, at),
                                     sum_at(p.splits, round, 2 * kBoxRows, at + rows)));
    }
    end_phase();
  }

  __device__ void add_down() {
    const Share& share = shared_.shares[kDown];
    begin_phase();
    load(job_.gated, job_.intermediate, share);
    add(job_.products[kDown], share);
  }

  const LayersJob& job_;
  const AttentionPlan plan_;
  const int tokens_;
  uint8_t* const memory_;
  Shared<D, T>& shared_;
  Ring<D> tiles_;
  const GridBarrier grid_;
  Place place_;
  unsigned phase_ = 0, exchanges_ = 0;
  int base_ = 0, layer_ = 0;
};

template <int D, int T>
__global__ void __launch_bounds__(kThreads, 1)
    layers_kernel(const __grid_constant__ LayersJob job) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ uint8_t dynamic[];
  __shared__ Shared<D, T> shared;
  uint8_t* const memory = dynamic + (1024 - shared_address(dynamic) % 1024) % 1024;
  const int tokens = min(*job.count, T), thread = static_cast<int>(threadIdx.x);
  if (tokens <= 0) return;
  if (thread == 0) {
    for (int i = 0; i < job.stages; ++i) {
      barrier_init(&shared.full[i], 1);
      barrier_init(&shared.empty[i], kMathWarps);
    }
    for (int i = 0; i < kTiles<D>; ++i) {
      barrier_init(&shared.tile_full[i], 1);
      barrier_init(&shared.tile_empty[i], kWarps);
    }
    barrier_init(&shared.parts, 1);
    barrier_init_fence();
  }
  if (thread < T) shared.splits[thread] = splits_of_row(job.attention.batch, thread);
  if (thread < kMatrices) shared.shares[thread] = share_of(job, thread);
  cluster_sync();
  const AttentionPlan plan = {true, kFewRows};
  uint8_t* const tiles = memory + job.attention_at + kQueryBytes;
  const Ring<D> tile_ring{shared_address(tiles), shared.tile_full, shared.tile_empty, kTiles<D>};
  if (thread < kMathThreads) {
    Layers<D, T>(job, plan, tokens, memory, shared, tile_ring).run();
  } else if (thread < kMathThreads + 32) {
    fetch_weights(job, shared.shares, memory, shared.full, shared.empty);
  } else {
    fetch_keys<D>(job, plan, tiles, tile_ring);
  }
  __syncwarp();
  cluster_sync();  // others read this block's sums
#endif
}

}  // namespace orthrus::cuda::in_one
