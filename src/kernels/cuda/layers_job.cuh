// What the kernel of all layers is told, and how its blocks share out the work.
#pragma once

#include "kernels/cuda/attention_plan.cuh"
#include "kernels/cuda/layers.h"
#include "kernels/cuda/matmul_finish.cuh"
#include "kernels/cuda/rms_norm.cuh"

namespace orthrus::cuda::in_one {

inline constexpr int kMathThreads = kFinishThreads, kMathWarps = kMathThreads / 32;
inline constexpr int kThreads = kMathThreads + 64;
inline constexpr int kCluster = 4;
inline constexpr int kMostRounds = kMathWarps;
// Weights come in boxes of 32 rows and 64 columns, four of them a stage of the ring: of a tile that
// many boxes high, or of fewer and more columns.
inline constexpr int kBoxRows = 32, kBoxBytes = kBoxRows * kBlockK * 2;
inline constexpr int kSlots = 4, kStageBytes = kSlots * kBoxBytes;
inline constexpr int kLeastStages = 4, kMostStages = 12;
inline constexpr int kNormQuads = kNormThreads / kMathThreads;  // of a row, that a thread has
inline constexpr int kMostHidden = 4 * kNormThreads;
inline constexpr int kRowsAtOnce = 4;  // of norms
inline constexpr int kMergeBatch = 8;

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

// Found once, since it takes divisions.
__device__ inline Share share_of(const LayersJob& job, int matrix) {
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

}  // namespace orthrus::cuda::in_one
