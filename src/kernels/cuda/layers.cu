// All layers of a pass in one kernel; see layers.h.
//
// A cluster of four blocks has tiles of each matrix's rows, and the blocks of a cluster the parts of
// K, which they add up through each other's shared memory as the streaming products do. One warp of
// a block fetches the weights of all its tiles, phase after phase and layer after layer, through one
// ring; another one keys and values; eight multiply, and do all the rest. A layer has five phases,
// between which all blocks meet: q, k and v with the norm before them; attention, its splits
// apart; the merge of splits and o; gate and up with the norm before them; down. Tokens of a phase
// lie in shared memory, where every block puts those columns that its part of K takes. Where there
// is much to merge, that is a phase of its own.
#include "kernels/cuda/layers.h"

#include <algorithm>

#include "kernels/cuda/attention_fetch.cuh"
#include "kernels/cuda/attention_merge.cuh"
#include "kernels/cuda/device_features.h"
#include "kernels/cuda/grid_barrier.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/matmul_finish.cuh"
#include "kernels/cuda/rms_norm.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace orthrus::cuda {
namespace {

constexpr int kMathThreads = kFinishThreads, kMathWarps = kMathThreads / 32;
constexpr int kThreads = kMathThreads + 64;
constexpr int kCluster = 4;
constexpr int kMostRounds = kMathWarps;
// Weights come in boxes of 32 rows and 64 columns, four of them a stage of the ring: of a tile that
// many boxes high, or of fewer and more columns.
constexpr int kBoxRows = 32, kBoxBytes = kBoxRows * kBlockK * 2;
constexpr int kSlots = 4, kStageBytes = kSlots * kBoxBytes;
constexpr int kLeastStages = 4, kMostStages = 12;
constexpr int kNormQuads = kNormThreads / kMathThreads;  // of a row, that a thread has
constexpr int kMostHidden = 4 * kNormThreads;
constexpr int kRowsAtOnce = 4;  // of norms
constexpr int kMergeBatch = 8;
// Beyond this, a layer's weights take so long that nothing is gained.
constexpr double kMostLayerBytes = 128e6;

enum Matrix { kQkv, kO, kGateUp, kDown, kMatrices };

struct Product {
  int out_rows = 0, k_blocks = 0, splits = 1;
  int boxes = 0;              // height of a tile; of gate and up half of them are up's
  int tiles = 0, rounds = 0;  // a block has at most `rounds` tiles
};

struct LayersJob {
  const PackedLayer* layers;
  int layer_count;
  Product products[kMatrices];
  AttentionJob attention;  // of the first layer
  size_t cache_layer_stride;
  const float2* rope;
  float eps;
  int hidden, intermediate;
  const int* count;
  float* x;
  __nv_bfloat16* gated;
  unsigned* arrived;
  bool merged_apart;
  int stages, attention_at, tokens_at, sums_at;  // the ring comes first

  __device__ int phases() const { return merged_apart ? 6 : 5; }
  __device__ AttentionJob attention_of(int layer) const {
    AttentionJob of = attention;
    of.batch.cache.data += layer * cache_layer_stride;
    return of;
  }
};

// What a block has of a product: tiles, and which part of K.
struct Share {
  int split, team, teams;
  int first, count;  // k-blocks
  bool from_last;

  // gate-up's tiles are dealt out the other way round, since others don't go round.
  __device__ int tile(int round) const {
    return round * teams + (from_last ? teams - 1 - team : team);
  }
};

__device__ Share share_of(const LayersJob& job, int matrix) {
  const Product& p = job.products[matrix];
  const int block = static_cast<int>(blockIdx.x), split = block % p.splits;
  const int first = first_k_block(p.k_blocks, p.splits, split);
  return {split,
          block / p.splits,
          static_cast<int>(gridDim.x) / p.splits,
          first,
          first_k_block(p.k_blocks, p.splits, split + 1) - first,
          matrix == kGateUp};
}

// A place in the ring of weights, and how often it has come round.
struct Place {
  int stage = 0, round = 0;

  __device__ void move_on(int stages) {
    if (++stage == stages) stage = 0, ++round;
  }
};

// Bytes of queries and what warps exchange, and the ring of tiles behind them.
constexpr int kQueryBytes = 8192;
template <int D>
constexpr int kTiles = D == 64 ? 3 : 2;
template <int D>
constexpr int kAttentionBytes = kQueryBytes + kTiles<D> * Layout<D>::kTileBytes;
static_assert(kFewRows * 128 * 2 + sizeof(Exchange) <= kQueryBytes);

template <int D, int T>
struct Shared {
  uint64_t full[kMostStages], empty[kMostStages];
  uint64_t tile_full[kTiles<D>], tile_empty[kTiles<D>];
  uint64_t parts;  // all blocks of the cluster have their sums
  float norm_sums[kRowsAtOnce][kNormWarps];
  RowPlace places[T];
  int splits[T];  // of a row's attention
  MergeFactors<kMergeBatch> factors[kMathWarps];
};

__device__ void fetch_weights(const LayersJob& job, uint8_t* ring, uint64_t* full,
                              uint64_t* empty) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const uint64_t policy = evict_first_policy();
  Place place;
  for (int i = 0; i < job.layer_count * kMatrices; ++i) {
    const int matrix = i % kMatrices;
    const CUtensorMap* const map = &job.layers[i / kMatrices].matrices[matrix];
    if (lane == 0 && i + 1 < job.layer_count * kMatrices) {
      prefetch_map(&job.layers[(i + 1) / kMatrices].matrices[(i + 1) % kMatrices]);
    }
    const Product& p = job.products[matrix];
    const Share share = share_of(job, matrix);
    const int box = lane % p.boxes, column = lane / p.boxes, columns = kSlots / p.boxes;
    for (int round = 0; round < p.rounds && share.tile(round) < p.tiles; ++round) {
      const int tile = share.tile(round);
      const int row = matrix == kGateUp ? tile * kBoxRows + box * p.out_rows
                                        : (tile * p.boxes + box) * kBoxRows;
      for (int k = 0; k < share.count; k += columns) {
        const int stage = place.stage, boxes = min(kSlots, (share.count - k) * p.boxes);
        if (place.round > 0) barrier_wait(&empty[stage], (place.round - 1) & 1);
        if (lane == 0) barrier_expect(&full[stage], boxes * kBoxBytes);
        __syncwarp();
        if (lane < boxes) {
          copy_box(ring + stage * kStageBytes + lane * kBoxBytes, map,
                   (share.first + k + column) * kBlockK, row, &full[stage], policy);
        }
        place.move_on(job.stages);
      }
    }
  }
}

// Of this pass's rows nothing is fetched before all blocks have stored theirs.
template <int D>
__device__ void fetch_keys(const LayersJob& job, const AttentionPlan& plan, uint8_t* tiles,
                           Ring<D> ring) {
  const GridBarrier grid(job.arrived);
  AttentionItem item;
  for (int layer = 0; layer < job.layer_count; ++layer) {
    const AttentionJob attention = job.attention_of(layer);
    const auto wait = [&] {
      grid.wait(static_cast<unsigned>(layer * job.phases() + 1));
      fence_copy_engine();
    };
    for (int i = static_cast<int>(blockIdx.x); find_item(attention, plan, i, item);
         i += static_cast<int>(gridDim.x)) {
      fetch_tiles<D>(attention, item, tiles, ring, wait);
    }
  }
}

// Issues the products of kColumns k-blocks of a tile, whose stage and tokens begin there.
template <int T, int kBoxes, int kColumns>
__device__ void multiply_columns(float (&acc)[kBoxes == 4 ? 2 : 1][T / 2], uint64_t stage,
                                 uint64_t tokens, bool first) {
  wgmma_fence();
#pragma unroll
  for (int c = 0; c < kColumns; ++c) {
#pragma unroll
    for (int half = 0; half < (kBoxes == 4 ? 2 : 1); ++half) {
      // Where a tile is lower than wgmma's 64 rows, what lies behind it gives sums not kept.
      const uint64_t rows = stage + ((c * kBoxes + 2 * half) * kBoxBytes >> 4);
      const uint64_t columns = tokens + (c * T * kBlockK * 2 >> 4);
#pragma unroll
      for (int i = 0; i < kBlockK / 16; ++i) {
        wgmma<T>(acc[half], rows + i * kNext16, columns + i * kNext16, !first || c + i > 0);
      }
    }
  }
  wgmma_commit();
  wgmma_wait<0>();
}

// One tile's sums over a part of K of `count` k-blocks, by a warpgroup.
template <int T, int kBoxes>
__device__ void multiply_tile(uint64_t ring, uint64_t* full, uint64_t* empty, Place& place,
                              int stages, int count, uint64_t tokens, float* sums) {
  constexpr int kColumns = kSlots / kBoxes, kTokensStep = T * kBlockK * 2 >> 4;
  float acc[kBoxes == 4 ? 2 : 1][T / 2];
  for (int k = 0; k < count; k += kColumns) {
    barrier_wait(&full[place.stage], place.round & 1);
    const uint64_t stage = ring + (place.stage * kStageBytes >> 4);
    if (count - k >= kColumns) {
      multiply_columns<T, kBoxes, kColumns>(acc, stage, tokens + k * kTokensStep, k == 0);
    } else {
      for (int c = 0; k + c < count; ++c) {
        multiply_columns<T, kBoxes, 1>(acc, stage + (c * kBoxes * kBoxBytes >> 4),
                                       tokens + (k + c) * kTokensStep, k + c == 0);
      }
    }
    if (threadIdx.x % 32 == 0) barrier_arrive(&empty[place.stage]);
    place.move_on(stages);
  }
#pragma unroll
  for (int half = 0; half < (kBoxes == 4 ? 2 : 1); ++half) {
    store_sums<T, kBoxes * kBoxRows>(acc[half], half * kSubtileRows, sums);
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
  static constexpr int kMeet = 2;  // barrier 1 is that of the functions called

  __device__ static void meet() { named_barrier(kMeet, kMathThreads); }
  __device__ static int warp() { return static_cast<int>(threadIdx.x) / 32; }
  __device__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }

  // For what other blocks made in the phases before.
  __device__ void begin_phase() {
    if (threadIdx.x == 0) grid_.wait(phase_);
    meet();
  }
  // What was stored may be read by other blocks, and by their copy engines.
  __device__ void end_phase() {
    fence_copy_engine();
    meet();
    if (threadIdx.x == 0) grid_.arrive();
    ++phase_;
  }

  // Four numbers of a token, from `column` of the block's part of K on.
  __device__ uint8_t* token_at(int token, int column) const {
    const int in_block = column % kBlockK;
    return memory_ + job_.tokens_at + (column / kBlockK * T + token) * kBlockK * 2 +
           (((in_block / 8) ^ (token % 8)) << 4) + in_block % 8 * 2;
  }
  __device__ void tokens_stored() {
    fence_copy_engine();  // wgmma reads as it does
    meet();
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
    constexpr int kBatch = 8;
    const int chunks = share.count * kBlockK / 8, all = tokens_ * chunks;
    from += share.first * kBlockK;
    for (int first = static_cast<int>(threadIdx.x); first < all; first += kBatch * kMathThreads) {
      uint4 v[kBatch];
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int item = first + i * kMathThreads, token = item / chunks, chunk = item % chunks;
        if (item < all) {
          v[i] = *reinterpret_cast<const uint4*>(from + static_cast<size_t>(token) * cols +
                                                 chunk * 8);
        }
      }
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int item = first + i * kMathThreads;
        if (item < all) {
          *reinterpret_cast<uint4*>(token_at(item / chunks, item % chunks * 8)) = v[i];
        }
      }
    }
    tokens_stored();
  }

  // A query and head whose splits were computed apart. Returns whether the row has any.
  __device__ bool merge_pair(int token, int head, uint2& merged) {
    const int splits = shared_.splits[token];
    if (splits == 0) return false;
    float v[4] = {};
    const float total = merge_splits<D, 4, kMergeBatch>(
        job_.attention, token * job_.attention.heads.heads + head, lane() * 4, splits,
        shared_.factors[warp()], v);
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

  template <int kBoxes>
  __device__ float* sums_of(int round) const {
    // Behind each tile's sums those of a block's share of the tokens.
    return reinterpret_cast<float*>(memory_ + job_.sums_at) +
           round * (T + T / kCluster) * sum_stride(kBoxes * kBoxRows);
  }

  // The sums of the block's tiles. The two warpgroups take turns; both see every stage go by, since
  // a barrier tells a stage's fetches apart from those before and after only.
  template <int kBoxes>
  __device__ void multiply(const Product& p, const Share& share) {
    const uint64_t ring = tile_descriptor(shared_address(memory_)),
                   tokens = tile_descriptor(shared_address(memory_ + job_.tokens_at));
    for (int round = 0; round < p.rounds && share.tile(round) < p.tiles; ++round) {
      if (round % 2 == warp() / 4) {
        multiply_tile<T, kBoxes>(ring, shared_.full, shared_.empty, place_, job_.stages,
                                 share.count, tokens, sums_of<kBoxes>(round));
        continue;
      }
      for (int k = 0; k < share.count; k += kSlots / kBoxes) {
        barrier_wait(&shared_.full[place_.stage], place_.round & 1);
        if (lane() == 0) barrier_arrive(&shared_.empty[place_.stage]);
        place_.move_on(job_.stages);
      }
    }
    meet();
    if (p.splits == 1) return;
    if (threadIdx.x < kCluster) barrier_arrive_at(&shared_.parts, threadIdx.x);
    barrier_wait_cluster(&shared_.parts, exchanges_++ & 1);
  }

  // Finishes the tiles side by side.
  template <int kSplits, bool kGated, int kBoxes>
  __device__ void finish_tiles(const MatmulJob& to, const Product& p, const Share& share) {
    const int threads = kMathWarps / p.rounds * 32;
    const int round = static_cast<int>(threadIdx.x) / threads;
    if (round >= p.rounds || share.tile(round) >= p.tiles) return;
    finish_rows<T, kSplits, kGated, kBoxes * kBoxRows>(
        to, share.tile(round), 0, tokens_, share.split, sums_of<kBoxes>(round),
        static_cast<int>(threadIdx.x) - round * threads, threads);
  }

  __device__ void project(const PackedLayer& weights, int layer) {
    const Product& p = job_.products[kQkv];
    const Share share = share_of(job_, kQkv);
    MatmulJob to = {};
    to.out_rows = p.out_rows;
    to.heads = {job_.attention.heads,
                {weights.qkv_bias, weights.q_norm, weights.k_norm, job_.rope, job_.eps},
                job_.attention_of(layer).batch,
                const_cast<__nv_bfloat16*>(job_.attention.q)};
    // Not by the thread that waits for other blocks.
    if (const int row = static_cast<int>(threadIdx.x) - kMathThreads / 2; row >= 0 && row < T) {
      shared_.places[row] = place_of(to.heads.batch, row);
    }
    norm(weights.input_norm, share);
    multiply<D / kBoxRows>(p, share);
    for (int round = 0; round < p.rounds && share.tile(round) < p.tiles; ++round) {
      finish_heads<T, kCluster, D>(to, share.tile(round), 0, tokens_, share.split,
                                   sums_of<D / kBoxRows>(round), shared_.places);
    }
    end_phase();
  }

  // By the first four warps. Who has nothing to do needn't wait.
  __device__ void attend(int layer) {
    if (threadIdx.x < kConsumers) {
      const AttentionJob attention = job_.attention_of(layer);
      const float scale = 1.4426950408889634f / sqrtf(static_cast<float>(D));
      uint8_t* const memory = memory_ + job_.attention_at;
      AttentionItem item;
      for (int i = static_cast<int>(blockIdx.x); find_item(attention, plan_, i, item);
           i += static_cast<int>(gridDim.x)) {
        if (threadIdx.x == 0 && i == static_cast<int>(blockIdx.x)) grid_.wait(phase_);
        named_barrier(1, kConsumers);  // and the queries before are done with
        const Output<D> to{attention, item};
        load_queries<D, kFewRows>(to, memory);
        named_barrier(1, kConsumers);
        attend_few(to, tiles_, after_barrier(shared_address(memory)),
                   *reinterpret_cast<Exchange*>(memory + kFewRows * D * 2), scale, true);
      }
    }
    end_phase();
  }

  __device__ void add(const Product& p, const Share& share) {
    MatmulJob to = {};
    to.out_rows = p.out_rows, to.epilogue = Epilogue::kAdd;
    to.out = job_.x, to.out_stride = static_cast<size_t>(job_.hidden);
    if (p.boxes == 1) {
      multiply<1>(p, share);
      finish_tiles<kCluster, false, 1>(to, p, share);
    } else {
      multiply<2>(p, share);
      finish_tiles<kCluster, false, 2>(to, p, share);
    }
    end_phase();
  }

  __device__ void add_output() {
    const Share share = share_of(job_, kO);
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
    const Share share = share_of(job_, kGateUp);
    MatmulJob to = {};
    to.out_rows = p.out_rows, to.epilogue = Epilogue::kSwiglu;
    to.out = job_.gated, to.out_stride = static_cast<size_t>(job_.intermediate);
    norm(weights.post_attention_norm, share);
    multiply<2>(p, share);
    if (p.splits == 1) finish_tiles<1, true, 2>(to, p, share);
    if (p.splits == 2) finish_tiles<2, true, 2>(to, p, share);
    if (p.splits == 4) finish_tiles<4, true, 2>(to, p, share);
    end_phase();
  }

  __device__ void add_down() {
    const Share share = share_of(job_, kDown);
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
    barrier_init(&shared.parts, kCluster);
    barrier_init_fence();
  }
  if (thread < T) shared.splits[thread] = splits_of_row(job.attention.batch, thread);
  cluster_sync();
  const AttentionPlan plan = {true, kFewRows};
  uint8_t* const tiles = memory + job.attention_at + kQueryBytes;
  const Ring<D> tile_ring{shared_address(tiles), shared.tile_full, shared.tile_empty, kTiles<D>};
  if (thread < kMathThreads) {
    Layers<D, T>(job, plan, tokens, memory, shared, tile_ring).run();
  } else if (thread < kMathThreads + 32) {
    fetch_weights(job, memory, shared.full, shared.empty);
  } else {
    fetch_keys<D>(job, plan, tiles, tile_ring);
  }
  __syncwarp();
  cluster_sync();  // others read this block's sums
#endif
}

using Kernel = void (*)(LayersJob);

template <int D>
Kernel kernel_for(int rows) {
  return rows <= 8 ? layers_kernel<D, 8> : rows <= 16 ? layers_kernel<D, 16> : layers_kernel<D, 32>;
}

// How a pass runs, or that it can't.
struct LayersPlan {
  Kernel kernel = nullptr;
  int blocks = 0, shared_bytes = 0;
  LayersJob job = {};  // products, and where what lies
};

int tokens_for(int rows) {
  return rows <= 8 ? 8 : rows <= 16 ? 16 : 32;
}

cudaLaunchConfig_t config_of(const LayersPlan& plan, cudaLaunchAttribute (&attributes)[2],
                             cudaStream_t stream) {
  attributes[0].id = cudaLaunchAttributeClusterDimension;
  attributes[0].val.clusterDim = {kCluster, 1, 1};
  attributes[1].id = cudaLaunchAttributeCooperative;
  attributes[1].val.cooperative = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(plan.blocks));
  config.blockDim = dim3(kThreads);
  config.dynamicSmemBytes = static_cast<size_t>(plan.shared_bytes);
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = 2;
  return config;
}

Product product_of(int rows, int cols, int boxes, int out_rows, int clusters) {
  Product p;
  p.out_rows = out_rows, p.k_blocks = cols / kBlockK, p.splits = split_count(rows, cols);
  const int teams = clusters * kCluster / p.splits;
  const auto tiles = [&](int height) { return (rows + height * kBoxRows - 1) / (height * kBoxRows); };
  // The lowest tiles with which all are at work at once.
  p.boxes = boxes > 0 ? boxes : tiles(1) <= teams ? 1 : 2;
  p.tiles = tiles(p.boxes);
  p.rounds = (p.tiles + teams - 1) / teams;
  return p;
}

// Of one multiprocessor each, as many blocks as fit; each has as long a ring as fits.
LayersPlan plan_of(const LayersShape& shape, int rows) {
  LayersPlan plan;
  const auto& [heads, layers, hidden, intermediate] = shape;
  const int dim = heads.head_dim, q_cols = heads.heads * dim;
  const int qkv_rows = q_cols + 2 * heads.kv_heads * dim, tokens = tokens_for(rows);
  if (!has_wgmma() || rows > 32 || (dim != 64 && dim != 128) || hidden > kMostHidden ||
      hidden % kBlockK != 0 || intermediate % kBlockK != 0 || q_cols % kBlockK != 0) {
    return plan;
  }
  const Kernel kernel = dim == 64 ? kernel_for<64>(rows) : kernel_for<128>(rows);
  cudaFuncAttributes compiled;
  cudaLaunchAttribute attributes[2];
  int most = 0, clusters = 0;
  if (cudaFuncGetAttributes(&compiled, kernel) != cudaSuccess ||
      most_shared_memory(&most) != cudaSuccess) {
    return plan;
  }
  plan.shared_bytes = most - static_cast<int>(compiled.sharedSizeBytes);
  plan.blocks = kCluster;
  const cudaLaunchConfig_t config = config_of(plan, attributes, nullptr);
  if (allow_shared_memory(kernel, plan.shared_bytes, compiled) != cudaSuccess ||
      cudaOccupancyMaxActiveClusters(&clusters, kernel, &config) != cudaSuccess || clusters == 0) {
    return plan;
  }
  plan.blocks = clusters * kCluster;
  Product(&products)[kMatrices] = plan.job.products;
  products[kQkv] = product_of(qkv_rows, hidden, dim / kBoxRows, qkv_rows, clusters);
  products[kO] = product_of(hidden, q_cols, 0, hidden, clusters);
  products[kGateUp] = product_of(2 * intermediate, hidden, 2, intermediate, clusters);
  products[kDown] = product_of(hidden, intermediate, 0, hidden, clusters);
  int token_bytes = 0, sum_bytes = 0;
  for (const Product& p : products) {
    const bool parted = p.splits == kCluster || &p == &products[kGateUp];
    if (!parted || p.rounds > kMostRounds) return plan;
    token_bytes =
        std::max(token_bytes, (p.k_blocks + p.splits - 1) / p.splits * tokens * kBlockK * 2);
    sum_bytes = std::max(sum_bytes, p.rounds * (tokens + tokens / kCluster) *
                                        sum_stride(p.boxes * kBoxRows) * 4);
  }
  const int attention_bytes = dim == 64 ? kAttentionBytes<64> : kAttentionBytes<128>;
  const int ring = plan.shared_bytes - 1024 - attention_bytes - token_bytes - sum_bytes;
  plan.job.stages = std::min(ring / kStageBytes, kMostStages);
  if (ring < kLeastStages * kStageBytes) return plan;
  plan.job.attention_at = plan.job.stages * kStageBytes;
  plan.job.tokens_at = plan.job.attention_at + attention_bytes;
  plan.job.sums_at = plan.job.tokens_at + token_bytes;
  plan.kernel = kernel;
  return plan;
}

}  // namespace

cudaError_t pack_layer(const LayerWeights& weights, PackedLayer* packed) {
  const MatrixView* const matrices[kMatrices] = {&weights.qkv, &weights.o, &weights.gate_up,
                                                 &weights.down};
  for (int i = 0; i < kMatrices; ++i) {
    const MatrixView& w = *matrices[i];
    const cudaError_t error =
        make_tensor_map(static_cast<const __nv_bfloat16*>(w.data), w.rows, w.cols,
                        static_cast<size_t>(w.cols), kBoxRows, &packed->matrices[i]);
    if (error != cudaSuccess) return error;
  }
  packed->input_norm = weights.input_norm;
  packed->post_attention_norm = weights.post_attention_norm;
  packed->qkv_bias = weights.qkv_bias;
  packed->q_norm = weights.q_norm, packed->k_norm = weights.k_norm;
  return cudaSuccess;
}

bool layers_fit(const LayersShape& shape, int rows, int positions) {
  const double q_cols = 1.0 * shape.heads.heads * shape.heads.head_dim;
  const double kv_cols = 1.0 * shape.heads.kv_heads * shape.heads.head_dim;
  const double bytes = 2.0 * shape.hidden * (2 * q_cols + 2 * kv_cols + 3.0 * shape.intermediate);
  // A multiprocessor has one block of attention instead of two.
  constexpr int kMostPositions = 8192;
  return bytes <= kMostLayerBytes && positions <= kMostPositions &&
         plan_of(shape, rows).kernel != nullptr;
}

cudaError_t run_layers(const LayersPass& pass, cudaStream_t stream) {
  LayersPlan plan = plan_of(pass.shape, pass.bucket);
  if (plan.kernel == nullptr) return cudaErrorInvalidValue;
  LayersJob& job = plan.job;
  job.layers = pass.layers;
  job.layer_count = pass.shape.layers;
  job.attention =
      make_attention_job(pass.q, pass.shape.heads, pass.batch, pass.attended,
                         pass.attention_workspace, pass.bucket, pass.positions);
  job.cache_layer_stride = pass.cache_layer_stride;
  job.rope = pass.rope;
  job.eps = pass.eps;
  job.hidden = pass.shape.hidden, job.intermediate = pass.shape.intermediate;
  job.count = pass.count;
  job.x = pass.x;
  job.gated = pass.gated;
  job.arrived = pass.arrived;
  // A block that merges for itself alone has a quarter of all heads.
  constexpr int kMostMerged = 2 * kMathWarps, kMostSplits = 2 * kMergeBatch;
  job.merged_apart = pass.bucket * pass.shape.heads.heads > kCluster * kMostMerged ||
                     most_splits(pass.positions) > kMostSplits;
  cudaLaunchAttribute attributes[2];
  const cudaLaunchConfig_t config = config_of(plan, attributes, stream);
  return cudaLaunchKernelEx(&config, plan.kernel, job);
}

}  // namespace orthrus::cuda
