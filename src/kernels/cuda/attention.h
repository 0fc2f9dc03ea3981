// Attention over tiles of keys and values.
//
// The result of a query is the same bits whatever the number of queries, their chunking, and what
// stands beside it. Keys are visited in tiles of 64 at absolute positions. The scores of a tile
// give its largest, the sum of the exponentials below that, and the values weighted by them; the
// tiles of a split, four at absolute positions, are merged in ascending order, and so are the
// splits. What a query doesn't see leaves its sums as they are. In passes of at most 256 rows
// splits are computed by different blocks, and a second kernel merges them, unless there are so
// many sequences that all blocks have enough to do. Few rows of one sequence in a short context are
// merged by those blocks, which are a cluster. Where they are apart, the splits before a draft
// tree are computed for all of its rows together.
//
// Stale values of positions past a span's end may be anything; those of later rows of the same
// span must be finite, since they are multiplied by zero.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "kernels/cuda/kv_tiles.h"

namespace orthrus::cuda {

// What attention works in, at a multiple of 16 bytes, for `bucket` rows in contexts of at most
// `positions`, block included.
size_t attention_workspace_bytes(const Heads& heads, int bucket, int positions);

// out[m] = softmax(q[m] K^T / sqrt(head_dim)) V for each query head; q and out: [bucket][heads *
// head_dim]. head_dim is 16, 32, 64 or 128. `positions` and `bucket` as for the workspace.
// `alone`: the batch is taken to have one span. No result depends on it.
[[nodiscard]] cudaError_t attention(const __nv_bfloat16* q, const Heads& heads,
                                    const KvBatch& batch, __nv_bfloat16* out, void* workspace,
                                    int bucket, int positions, bool alone, cudaStream_t stream);

}  // namespace orthrus::cuda
