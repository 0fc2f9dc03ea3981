#include "kernels/cuda/branches.h"
#include "kernels/cuda/launch.h"

namespace orthrus::cuda {
namespace {

constexpr int kThreads = 256;

// A block has a branch's page in one layer. Of a tile, the first slots are the first bytes of its
// keys and of its values.
__global__ void __launch_bounds__(kThreads)
    copy_known_kernel(KvBatch batch, Heads heads, int layers, size_t layer_stride) {
  const int s = static_cast<int>(blockIdx.x) / layers,
            layer = static_cast<int>(blockIdx.x) % layers;
  if (s >= *batch.span_count) return;
  const KvSpan span = batch.spans[s];
  if (span.copied_page < 0) return;
  const int own_page = batch.page_table[span.first_page + span.first_position / kTilePositions];
  __nv_bfloat16* const data = batch.cache.data + static_cast<size_t>(layer) * layer_stride;
  const auto at = [&](int page) {
    return reinterpret_cast<uint4*>(data + static_cast<size_t>(page) * batch.cache.page_stride);
  };
  const uint4* const from = at(span.copied_page);
  uint4* const to = at(own_page);
  // In pieces of 16 bytes: a tile has as many of values as of keys, of which the first are copied.
  const int half = kTilePositions * heads.head_dim / 8;
  const int copied = span.known() % kTilePositions * heads.head_dim / 8;
  for (int i = static_cast<int>(threadIdx.x); i < 2 * heads.kv_heads * copied; i += kThreads) {
    const int piece = i / copied * half + i % copied;
    to[piece] = from[piece];
  }
}

}  // namespace

cudaError_t copy_known(const KvBatch& batch, const Heads& heads, int layers, size_t layer_stride,
                       int most_spans, cudaStream_t stream) {
  return launch_first(copy_known_kernel, most_spans * layers, kThreads, stream, batch, heads,
                      layers, layer_stride);
}

}  // namespace orthrus::cuda
