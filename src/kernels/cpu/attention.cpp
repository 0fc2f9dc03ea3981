// Attention over pages of keys and values.
//
// A query visits its tiles (pages) in ascending order of position. Each tile gives a partial result
// that depends on the query and the tile's visible positions alone: the largest score, the sum of
// exponentials below it, and the values weighted by them. Partial results are merged one by one in
// that order. So neither the number of queries, nor the chunk a query came in, nor threads can
// change a bit; a tile's stale positions, past what the query sees, are never read into a sum.
#include <cmath>
#include <cstring>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/exp.h"
#include "kernels/cpu/simd.h"

namespace orthrus {
namespace {

using namespace cpu;

constexpr int kTileRegisters = kPageSize / kLanes;

// softmax(scores) V over some tiles, unnormalised: `values` is sum of exp(score - top) * value.
struct Partial {
  float top = -INFINITY;
  float total = 0;
  float* values;  // [value_stride]
};

// The scores of all 64 positions of a tile: keys are transposed, so each register holds 8 positions
// and takes one product per dimension, in ascending dimension.
void tile_scores(const float* query, const float* keys, int head_dim, float* scores) {
  Float8 acc[kTileRegisters] = {};
  for (int d = 0; d < head_dim; ++d) {
    const Float8 q = broadcast(query[d]);
    for (int r = 0; r < kTileRegisters; ++r) {
      acc[r] = madd(acc[r], q, load(keys + static_cast<size_t>(d) * kPageSize + r * kLanes));
    }
  }
  for (int r = 0; r < kTileRegisters; ++r) store(scores + r * kLanes, acc[r]);
}

void tile_values(const float* weights, const float* values, int visible, size_t stride,
                 float* out) {
  size_t d = 0;
  for (; d + 4 * kLanes <= stride; d += 4 * kLanes) {
    Float8 acc[4] = {};
    for (int t = 0; t < visible; ++t) {
      const Float8 p = broadcast(weights[t]);
      for (int r = 0; r < 4; ++r)
        acc[r] = madd(acc[r], p, load(values + t * stride + d + r * kLanes));
    }
    for (int r = 0; r < 4; ++r) store(out + d + r * kLanes, acc[r]);
  }
  for (; d < stride; d += kLanes) {
    Float8 acc = {};
    for (int t = 0; t < visible; ++t) {
      acc = madd(acc, broadcast(weights[t]), load(values + t * stride + d));
    }
    store(out + d, acc);
  }
}

void attend_tile(const float* query, const float* tile, int visible, const KvLayout& layout,
                 Partial& part) {
  alignas(32) float scores[kPageSize];
  tile_scores(query, tile, layout.head_dim, scores);
  part.top = scores[0];
  for (int t = 1; t < visible; ++t) part.top = scores[t] > part.top ? scores[t] : part.top;
  for (int t = visible; t < kPageSize; ++t) scores[t] = part.top;  // whatever lies there
  for (int t = 0; t < kPageSize; ++t) scores[t] = exp_f32(scores[t] - part.top);
  for (int t = visible; t < kPageSize; ++t) scores[t] = 0;
  Float8 total = {};
  for (int r = 0; r < kTileRegisters; ++r) total += load(scores + r * kLanes);
  part.total = sum(total);
  tile_values(scores, tile + layout.key_floats(), visible, layout.value_stride(), part.values);
}

void merge(Partial& sum, const Partial& tile, size_t stride) {
  const float top = tile.top > sum.top ? tile.top : sum.top;
  // exp_f32 flattens out far below; -infinity, before the first tile, must weigh nothing.
  const float keep = sum.total > 0 ? exp_f32(sum.top - top) : 0.0f;
  const float take = exp_f32(tile.top - top);
  sum.top = top;
  sum.total = sum.total * keep + tile.total * take;
  for (size_t d = 0; d < stride; ++d) sum.values[d] = sum.values[d] * keep + tile.values[d] * take;
}

// One query head of one row.
void attend(const float* q, const AttentionSpan& span, int row, int kv_head, const KvLayout& layout,
            float* out) {
  const size_t stride = layout.value_stride();
  const float scale = 1.0f / std::sqrt(static_cast<float>(layout.head_dim));
  float query[kMaxHeadDim], sum_values[kMaxHeadDim], part_values[kMaxHeadDim];
  for (int d = 0; d < layout.head_dim; ++d) query[d] = q[d] * scale;
  std::memset(sum_values, 0, stride * sizeof(float));
  Partial sum{.values = sum_values};
  Partial part{.values = part_values};

  const auto visit = [&](const KvPages& from, int positions) {
    const size_t at = from.offset + layout.tile_floats() * static_cast<size_t>(kv_head);
    for (int first = 0; first < positions; first += kPageSize) {
      const int visible = positions - first < kPageSize ? positions - first : kPageSize;
      attend_tile(query, from.pages[first / kPageSize] + at, visible, layout, part);
      merge(sum, part, stride);
    }
  };
  if (span.has_block()) {
    visit(span.cache, span.first_position);
    visit(span.block, span.rows);
  } else {
    visit(span.cache, span.first_position + row + 1);
  }
  for (int d = 0; d < layout.head_dim; ++d) out[d] = sum.values[d] / sum.total;
}

}  // namespace

void CpuOps::write_kv(ConstRows k, ConstRows v, std::span<const AttentionSpan> spans,
                      const KvLayout& layout) const {
  for (const AttentionSpan& span : spans) {
    for (int i = 0; i < span.rows; ++i) {
      const KvPages& to = span.has_block() ? span.block : span.cache;
      const int slot = span.has_block() ? i : span.first_position + i;
      const float* key = k.row(span.first_row + i);
      const float* value = v.row(span.first_row + i);
      for (int h = 0; h < layout.kv_heads; ++h) {
        float* tile = to.pages[slot / kPageSize] + to.offset + layout.tile_floats() * h;
        float* keys = tile + slot % kPageSize;
        for (int d = 0; d < layout.head_dim; ++d) keys[d * kPageSize] = *key++;
        std::memcpy(tile + layout.key_floats() + (slot % kPageSize) * layout.value_stride(), value,
                    layout.head_dim * sizeof(float));
        value += layout.head_dim;
      }
    }
  }
}

void CpuOps::attention(ConstRows q, std::span<const AttentionSpan> spans, const KvLayout& layout,
                       Rows out) const {
  const int heads = q.cols / layout.head_dim;
  const int group = heads / layout.kv_heads;
  const auto head_dim = static_cast<size_t>(layout.head_dim);
  size_t work = 0;
  for (const AttentionSpan& span : spans) {
    const auto visible = static_cast<size_t>(span.first_position + span.rows);
    work += visible * static_cast<size_t>(span.rows) * static_cast<size_t>(q.cols) * 2;
  }
#pragma omp parallel num_threads(team(work))
  for (const AttentionSpan& span : spans) {
    const int64_t tasks = int64_t{span.rows} * heads;
    // Later rows see more; small shares handed out as threads come free even that out.
#pragma omp for schedule(dynamic, 4) nowait
    for (int64_t task = 0; task < tasks; ++task) {
      const int row = static_cast<int>(task / heads);
      const int head = static_cast<int>(task % heads);
      const size_t at = static_cast<size_t>(head) * head_dim;
      attend(q.row(span.first_row + row) + at, span, row, head / group, layout,
             out.row(span.first_row + row) + at);
    }
  }
}

}  // namespace orthrus
