// The ring through which a block gets the weights of all its tiles, and what multiplies them.
#pragma once

#include "kernels/cuda/layers_job.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace orthrus::cuda::in_one {

// A place in the ring of weights, and how often it has come round.
struct Place {
  int stage = 0, round = 0;

  __device__ void move_on(int stages) {
    if (++stage == stages) stage = 0, ++round;
  }
};

// By a warp: phase after phase and layer after layer, as far ahead as the ring has room.
__device__ inline void fetch_weights(const LayersJob& job, const Share (&shares)[kMatrices],
                                     uint8_t* ring, uint64_t* full, uint64_t* empty) {
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
    const Share share = shares[matrix];
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

// Issues the products of kColumns k-blocks of a tile, whose stage and tokens begin there.
template <int T, int kBoxes, int kColumns>
__device__ void multiply_columns(float (&acc)[T / 2], uint64_t stage,
                                 uint64_t tokens, bool first) {
  wgmma_fence();
#pragma unroll
  for (int c = 0; c < kColumns; ++c) {
    // Where a tile is lower than wgmma's 64 rows, what lies behind it gives sums not kept.
    const uint64_t rows = stage + (c * kBoxes * kBoxBytes >> 4);
    const uint64_t columns = tokens + (c * T * kBlockK * 2 >> 4);
#pragma unroll
    for (int i = 0; i < kBlockK / 16; ++i) {
      wgmma<T>(acc, rows + i * kNext16, columns + i * kNext16, !first || c + i > 0);
    }
  }
  wgmma_commit();
  wgmma_wait<0>();
}

// One tile's sums over a part of K of `count` k-blocks, by a warpgroup.
template <int T, int kBoxes, typename Send>
__device__ void multiply_tile(uint64_t ring, uint64_t* full, uint64_t* empty, Place& place,
                              int stages, int count, uint64_t tokens, const Send& send) {
  float acc[T / 2];
  constexpr int kColumns = kSlots / kBoxes, kTokensStep = T * kBlockK * 2 >> 4;
  for (int k = 0; k < count; k += kColumns) {
    barrier_wait(&full[place.stage], place.round & 1);
    const uint64_t stage = ring + (place.stage * kStageBytes >> 4);
    if (kColumns == 1 || count - k >= kColumns) {
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
  for (int i = 0; i < T / 2; ++i) send(i, acc[i]);
}

}  // namespace orthrus::cuda::in_one
