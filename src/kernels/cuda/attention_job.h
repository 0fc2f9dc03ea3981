// What the kernels of attention are told.
#pragma once

#include "kernels/cuda/attention_plan.h"
#include "kernels/cuda/kv_tiles.h"

namespace orthrus::cuda {

// Blocks of a cluster, at most: what 1024 positions and a block may need.
inline constexpr int kMostCluster = 5;

struct AttentionJob {
  Heads heads;
  KvBatch batch;
  const __nv_bfloat16* q;
  __nv_bfloat16* out;
  // Of passes whose splits are computed apart, what they gave: [split][part_rows][heads].
  int part_rows;
  float2* part_tops;   // largest score and sum
  float* part_values;  // [head_dim]
  int blocks;          // of the attention kernel
  bool side_by_side;   // by kSideBySide, in place of what the spans say
  int cluster;  // then, if more than one: by kWholeContexts, a cluster of so many blocks each

  __device__ AttentionWork work() const {
    return {heads, batch.spans, batch.span_count, part_rows, blocks};
  }
};

}  // namespace orthrus::cuda
