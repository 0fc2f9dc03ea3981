// Attention over pages of keys and values.
//
// A query visits its tiles (pages) in ascending order of position. Each tile gives a partial result
// that depends on the query and the tile's visible positions alone: the largest score, the sum of
// exponentials below it, and the values weighted by them. Partial results are merged one by one in
// that order. So neither the number of queries, nor the chunk a query came in, nor threads can
// change a bit; a tile's stale positions, past what the query sees, are never read into a sum.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention.cpp"
#include <hwy/foreach_target.h>
// The above must be first.
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu/attention.h"
#include "kernels/cpu/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace orthrus::cpu::HWY_NAMESPACE {
namespace {

// Queries by registers of a tile, at most: 24 running sums with 32 registers, 8 with 16.
constexpr int kTileQueries = HWY_MAX_BYTES >= 64 || HWY_ARCH_ARM_A64 ? kMostTileQueries : 2;
constexpr int kTileRegisters = 4;

// The queries of a task and what they have seen so far: softmax(scores) V over some tiles,
// unnormalised, as values = the sum of exp(score - top) * value.
struct Queries {
  int count;
  size_t stride;  // of the three
  float* query;   // scaled by 1 / sqrt(head_dim)
  float* values;
  float* part;  // values of the current tile
  float top[kMostQueries];
  float total[kMostQueries];
};

// The scores of a tile's 64 positions for Q queries, in ascending dimension: keys are transposed,
// so a register holds positions side by side.
template <int Q, typename Element>
void tile_scores(const float* query, size_t stride, const Element* keys, int head_dim,
                 float scores[][kPageSize]) {
  for (int at = 0; at < kPageSize; at += kTileRegisters * kWidth) {
    VF acc[Q][kTileRegisters];
    for (auto& of_query : acc) {
      for (VF& a : of_query) a = hn::Zero(kF);
    }
    for (int d = 0; d < head_dim; ++d) {
      VF key[kTileRegisters];
      HWY_UNROLL(4)
      for (int r = 0; r < kTileRegisters; ++r) {
        key[r] = load(keys + static_cast<size_t>(d) * kPageSize + at + r * kWidth);
      }
      HWY_UNROLL(6)
      for (int i = 0; i < Q; ++i) {
        const VF q = hn::Set(kF, query[i * stride + d]);
        HWY_UNROLL(4)
        for (int r = 0; r < kTileRegisters; ++r) acc[i][r] = hn::MulAdd(q, key[r], acc[i][r]);
      }
    }
    for (int i = 0; i < Q; ++i) {
      for (int r = 0; r < kTileRegisters; ++r) {
        hn::Store(acc[i][r], kF, scores[i] + at + r * kWidth);
      }
    }
  }
}

// part[i] = the sum over positions t in [0, visible[i]), ascending, of weights[i][t] * value t, for
// Q queries and R registers of dimensions.
template <int Q, int R, typename Element>
void tile_values(const float weights[][kPageSize], const int* visible, const Element* values,
                 size_t stride, float* part) {
  VF acc[Q][R];
  for (auto& of_query : acc) {
    for (VF& a : of_query) a = hn::Zero(kF);
  }
  const int common = *std::min_element(visible, visible + Q);
  for (int t = 0; t < common; ++t) {
    VF value[R];
    HWY_UNROLL(4)
    for (int r = 0; r < R; ++r) value[r] = load(values + t * stride + r * kWidth);
    HWY_UNROLL(6)
    for (int i = 0; i < Q; ++i) {
      const VF w = hn::Set(kF, weights[i][t]);
      HWY_UNROLL(4)
      for (int r = 0; r < R; ++r) acc[i][r] = hn::MulAdd(w, value[r], acc[i][r]);
    }
  }
  for (int i = 0; i < Q; ++i) {
    for (int r = 0; r < R; ++r) {
      VF sum = acc[i][r];
      for (int t = common; t < visible[i]; ++t) {
        sum = hn::MulAdd(hn::Set(kF, weights[i][t]), load(values + t * stride + r * kWidth), sum);
      }
      hn::Store(sum, kF, part + i * stride + r * kWidth);
    }
  }
}

// Scores to exp(score - top), zero where not visible. Returns their sum.
float exponentials(float* scores, int visible, float* top) {
  for (int t = visible; t < kPageSize; ++t) scores[t] = scores[0];  // whatever lies there
  VF largest = load(scores);
  for (int t = kWidth; t < kPageSize; t += kWidth) largest = hn::Max(largest, load(scores + t));
  *top = hn::GetLane(hn::MaxOfLanes(kF, largest));
  const VF tops = hn::Set(kF, *top);
  for (int t = 0; t < kPageSize; t += kWidth) {
    hn::Store(exp(hn::Sub(load(scores + t), tops)), kF, scores + t);
  }
  for (int t = visible; t < kPageSize; ++t) scores[t] = 0;
  HWY_ALIGN float lanes[kLanes];
  for (int lane = 0; lane < kLanes; lane += kWidth) {
    VF sum = load(scores + lane);
    for (int t = kLanes; t < kPageSize; t += kLanes) sum = hn::Add(sum, load(scores + t + lane));
    hn::Store(sum, kF, lanes + lane);
  }
  return sum_of(lanes);
}

float exp_of(float x) {
  return hn::GetLane(exp(hn::Set(kF, x)));
}

void merge(Queries& s, int query, float tile_top, float tile_total, const float* part) {
  const float top = std::max(tile_top, s.top[query]);
  // exp flattens out far below; -infinity, before the first tile, must weigh nothing.
  const float keep = s.total[query] > 0 ? exp_of(s.top[query] - top) : 0.0f;
  const float take = exp_of(tile_top - top);
  s.top[query] = top;
  s.total[query] = s.total[query] * keep + tile_total * take;
  float* values = s.values + query * s.stride;
  const VF keeps = hn::Set(kF, keep), takes = hn::Set(kF, take);
  for (size_t d = 0; d < s.stride; d += kWidth) {
    hn::Store(hn::Add(hn::Mul(load(values + d), keeps), hn::Mul(load(part + d), takes)), kF,
              values + d);
  }
}

// Q queries against one tile.
template <int Q, typename Element>
void attend_tile(Queries& s, int first, const Element* tile, const int* visible,
                 const KvLayout& layout) {
  HWY_ALIGN float scores[Q][kPageSize];
  float tops[Q], totals[Q];
  tile_scores<Q>(s.query + first * s.stride, s.stride, tile, layout.head_dim, scores);
  for (int i = 0; i < Q; ++i) totals[i] = exponentials(scores[i], visible[i], &tops[i]);
  const Element* values = tile + layout.keys_of_tile();
  constexpr size_t kWhole = kTileRegisters * kWidth;
  size_t d = 0;
  for (; d + kWhole <= s.stride; d += kWhole) {
    tile_values<Q, kTileRegisters>(scores, visible, values + d, s.stride, s.part + d);
  }
  for (; d < s.stride; d += kWidth) {
    tile_values<Q, 1>(scores, visible, values + d, s.stride, s.part + d);
  }
  for (int i = 0; i < Q; ++i) merge(s, first + i, tops[i], totals[i], s.part + i * s.stride);
}

// The queries [begin, end) against one tile: of its positions query i sees visible[i], at least
// one.
template <typename Element>
void attend_tile(Queries& s, int begin, int end, const Element* tile, const int* visible,
                 const KvLayout& layout) {
  using Attend = void (*)(Queries&, int, const Element*, const int*, const KvLayout&);
  static constexpr Attend kOfQueries[] = {attend_tile<1, Element>,
                                          attend_tile<2, Element>,
                                          attend_tile<HWY_MIN(3, kTileQueries), Element>,
                                          attend_tile<HWY_MIN(4, kTileQueries), Element>,
                                          attend_tile<HWY_MIN(5, kTileQueries), Element>,
                                          attend_tile<HWY_MIN(6, kTileQueries), Element>};
  while (begin < end) {
    // As few tiles of registers as can be, and those as even as can be.
    const int tiles = (end - begin + kTileQueries - 1) / kTileQueries;
    const int together = (end - begin + tiles - 1) / tiles;
    kOfQueries[together - 1](s, begin, tile, visible + begin, layout);
    begin += together;
  }
}

// Some pages, and how many of their positions each query sees; none where it has no such pages.
struct Seen {
  std::byte* const* pages[kMostQueries];
  int positions[kMostQueries];
};

// Queries side by side whose positions are on the same page share it: rows of one span, paths of a
// tree, sequences that begin alike.
void visit(Queries& s, const Seen& seen, size_t offset, const KvLayout& layout) {
  const int most = *std::max_element(seen.positions, seen.positions + s.count);
  int visible[kMostQueries];
  for (int start = 0; start < most; start += kPageSize) {
    const auto page_of = [&](int i) { return seen.pages[i][start / kPageSize]; };
    for (int i = 0; i < s.count; ++i) {
      visible[i] = std::clamp(seen.positions[i] - start, 0, kPageSize);
    }
    for (int i = 0; i < s.count;) {
      const int begin = i++;
      if (visible[begin] == 0) continue;
      const std::byte* const page = page_of(begin);
      while (i < s.count && visible[i] > 0 && page_of(i) == page) ++i;
      if (layout.type == DType::kBF16) {
        attend_tile(s, begin, i, reinterpret_cast<const BF16*>(page + offset), visible, layout);
      } else {
        attend_tile(s, begin, i, reinterpret_cast<const float*>(page + offset), visible, layout);
      }
    }
  }
}

void attend_queries(ConstRows q, std::span<const AttentionSpan> spans, int kv_head, int group,
                    int first, int count, const KvLayout& layout, size_t cache_offset, Rows out,
                    float* workspace) {
  Queries s;
  s.count = count;
  s.stride = layout.value_stride();
  s.query = workspace;
  s.values = s.query + kMostQueries * s.stride;
  s.part = s.values + kMostQueries * s.stride;
  Seen cache, block;
  int rows[kMostQueries];  // of q and out
  size_t span = 0;
  int row = first / group;  // of the span
  for (int i = 0; i < count; ++i) {
    if (i > 0 && (first + i) % group == 0) ++row;
    while (row >= spans[span].rows) row -= spans[span++].rows;
    const AttentionSpan& of = spans[span];
    rows[i] = of.first_row + row;
    cache.pages[i] = of.cache;
    cache.positions[i] = of.first_position + (of.has_block() ? 0 : row + 1);
    block.pages[i] = of.block;
    block.positions[i] = of.has_block() ? of.rows : 0;
  }
  const auto head_of = [&](auto of, int i) {
    const int head = kv_head * group + (first + i) % group;
    return of.row(rows[i]) + static_cast<size_t>(head) * layout.head_dim;
  };
  const float scale = 1.0f / std::sqrt(static_cast<float>(layout.head_dim));
  for (int i = 0; i < count; ++i) {
    const float* from = head_of(q, i);
    for (int d = 0; d < layout.head_dim; ++d) s.query[i * s.stride + d] = from[d] * scale;
    s.top[i] = -INFINITY;
    s.total[i] = 0;
  }
  std::memset(s.values, 0, count * s.stride * sizeof(float));

  const size_t offset = layout.tile_bytes() * static_cast<size_t>(kv_head);
  visit(s, cache, cache_offset + offset, layout);
  visit(s, block, offset, layout);

  for (int i = 0; i < count; ++i) {
    float* to = head_of(out, i);
    for (int d = 0; d < layout.head_dim; ++d) to[d] = s.values[i * s.stride + d] / s.total[i];
  }
}

}  // namespace
}  // namespace orthrus::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace orthrus::cpu {

HWY_EXPORT(attend_queries);

void attend(ConstRows q, std::span<const AttentionSpan> spans, int kv_head, int group, int first,
            int count, const KvLayout& layout, size_t cache_offset, Rows out, float* workspace) {
  HWY_DYNAMIC_DISPATCH(attend_queries)
  (q, spans, kv_head, group, first, count, layout, cache_offset, out, workspace);
}

}  // namespace orthrus::cpu
#endif  // HWY_ONCE
