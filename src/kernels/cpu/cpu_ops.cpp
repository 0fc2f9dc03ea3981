// How the CPU's work is shared out among the threads of a team. Every loop hands out whole outputs,
// so which thread computes one cannot matter. An operation ends when all threads are done: the next
// one reads what they wrote.
#include "kernels/cpu/cpu_ops.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

#include "kernels/cpu/attention.h"
#include "kernels/cpu/matmul.h"
#include "kernels/cpu/products.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/team.h"
#include "kernels/formats/format.h"

namespace orthrus {
namespace {

using namespace cpu;

// This thread's place in the team, for the time of parallel().
thread_local Member here;

class Here {
 public:
  explicit Here(const Member& member) { here = member; }
  ~Here() { here = {}; }
  Here(const Here&) = delete;
  Here& operator=(const Here&) = delete;
};

OperandForm operand_of(const Matrix& w) {
  return packed_format(w.type).operand;
}

// Bytes from one row or tile of a prepared operand to the next. Not a multiple of a large power of
// two, or the rows of a tile would share the same few sets of the L1 cache.
size_t operand_stride(OperandForm form, int cols, int rows) {
  const size_t bytes = form == OperandForm::kBlocks ? tile_bytes(cols, rows) : row_bytes(cols);
  return round_up(bytes, 256) + 64;
}

void prepare_row(ConstRows x, int m, OperandForm form, size_t stride, std::byte* to) {
  if (form == OperandForm::kBf16) {
    return round_to_bf16(x.row(m), x.cols, to + stride * static_cast<size_t>(m));
  }
  const int of_tile = tile_rows(x.rows);
  auto* const tile =
      reinterpret_cast<ActivationBlock*>(to + stride * static_cast<size_t>(m / of_tile));
  round_to_blocks(x.row(m), x.cols, tile + m % of_tile, of_tile);
}

// The rows of x in a form that weights want. One row each thread prepares for itself, which is
// faster than waiting for one that does.
Operand prepare(ConstRows x, OperandForm form, float* workspace) {
  if (form == OperandForm::kFloats) {
    return {reinterpret_cast<const std::byte*>(x.data), x.stride * sizeof(float), x.rows};
  }
  auto* to = reinterpret_cast<std::byte*>(workspace);
  const size_t stride = operand_stride(form, x.cols, x.rows);
  if (x.rows == 1) {
    to += stride * static_cast<size_t>(here.index);
    prepare_row(x, 0, form, stride, to);
  } else {
    here.share(x.rows, [&](int m) { prepare_row(x, m, form, stride, to); });
  }
  return {to, stride, x.rows};
}

// Weights are read in one long run, in which every page's address is looked up.
void prefer_huge_pages([[maybe_unused]] void* data, [[maybe_unused]] size_t bytes) {
#if defined(__linux__)
  if (bytes >= size_t{2} << 20) madvise(data, bytes, MADV_HUGEPAGE);  // if it can be, good
#endif
}

}  // namespace

void FreeBuffer::operator()(float* data) const {
  std::free(data);
}

Buffer CpuOps::allocate(size_t floats) const {
  constexpr size_t kLine = 64, kHugePage = size_t{2} << 20;
  if (floats > std::numeric_limits<size_t>::max() / sizeof(float) - kHugePage) {
    throw std::bad_alloc();
  }
  const size_t bytes = std::max(round_up(floats * sizeof(float), kLine), kLine);
  const size_t align = bytes < kHugePage ? kLine : kHugePage;
  void* data = nullptr;  // aligned_alloc would want whole pages
  if (posix_memalign(&data, align, bytes) != 0) throw std::bad_alloc();
  prefer_huge_pages(data, bytes);
  std::memset(data, 0, bytes);
  return Buffer(static_cast<float*>(data));
}

void CpuOps::parallel(const std::function<void()>& body) const {
  crews_.run([&](const Member& member) {
    const Here as_member(member);
    body();
  });
}

// A prepared operand has as many rows or tiles as x, or one for each thread.
size_t CpuOps::operand_floats(int rows, int cols) const {
  const auto bytes = [&](OperandForm form, int count) {
    return std::max(static_cast<size_t>(count) * operand_stride(form, cols, rows),
                    threads() * operand_stride(form, cols, 1));
  };
  return std::max(bytes(OperandForm::kBf16, rows),
                  bytes(OperandForm::kBlocks, ceil_div(rows, tile_rows(rows)))) /
         sizeof(float);
}

// An operand, and another one, of other weights, or each thread's running tops.
size_t CpuOps::workspace_floats(int rows, int cols) const {
  const size_t tops = threads() * static_cast<size_t>(rows);
  const size_t operand = operand_floats(rows, cols);
  return operand + std::max(operand, tops * sizeof(RunningTop) / sizeof(float));
}

size_t CpuOps::attention_floats(const KvLayout& layout) const {
  return threads() * attend_floats(layout);
}

bool can_pack(DType from, DType to) {
  return from == to || !format_of(to).stores_blocks() || to == DType::kQ8_0;
}

size_t CpuOps::packed_bytes(DType type, int rows, int cols) const {
  return ceil_div(static_cast<size_t>(rows), kPanelRows) * packed_format(type).panel_bytes(cols);
}

Matrix CpuOps::pack(const Matrix& from, DType type, void* to) const {
  const PackedFormat& format = packed_format(type);
  const int panels = panels_of(from);
  crews_.run([&](const Member& member) {
    member.share_without_waiting(panels, [&](int p) { format.pack(from, p, to); });
  });
  return {to, type, from.rows, from.cols, true};
}

void CpuOps::embed(const Matrix& table, std::span<const int32_t> ids, Rows out) const {
  here.share(out.rows, [&](int m) { widen_row(table, ids[m], out.row(m)); });
}

void CpuOps::rms_norm(ConstRows x, std::span<const float> weight, float eps, Rows out) const {
  here.share(x.rows, [&](int m) { norm_row(x.row(m), weight, eps, out.row(m)); });
}

void CpuOps::matmul(ConstRows x, std::span<const Product> products, float* workspace) const {
  for (size_t i = 0; i < products.size();) {
    // Products that want one form share the operand, and their panels are handed out together.
    const OperandForm form = operand_of(*products[i].w);
    size_t end = i;
    int panels = 0;
    for (; end < products.size() && operand_of(*products[end].w) == form; ++end) {
      panels += panels_of(*products[end].w);
    }
    const Operand operand = prepare(x, form, workspace);
    here.share_run(panels, [&](int run_begin, int run_end) {
      int first = 0;  // panel of product p
      for (size_t p = i; p < end; ++p) {
        const int count = panels_of(*products[p].w);
        const Run run{std::max(run_begin - first, 0), std::min(run_end - first, count)};
        if (run.begin < run.end) store_products(operand, products[p], run);
        first += count;
      }
    });
    i = end;
  }
}

void CpuOps::matmul_add(ConstRows x, const Matrix& w, Rows out, float* workspace) const {
  const Operand operand = prepare(x, operand_of(w), workspace);
  here.share_run(panels_of(w), [&](int begin, int end) {
    add_products(operand, w, {begin, end}, out);
  });
}

void CpuOps::matmul_swiglu(ConstRows x, const Matrix& gate, const Matrix& up, Rows out,
                           float* workspace) const {
  const OperandForm form = operand_of(gate), up_form = operand_of(up);
  const Operand of_gate = prepare(x, form, workspace);
  const Operand of_up =
      up_form == form ? of_gate : prepare(x, up_form, workspace + operand_floats(x.rows, x.cols));
  here.share_run(panels_of(gate), [&](int begin, int end) {
    swiglu_products(of_gate, gate, of_up, up, {begin, end}, out);
  });
}

void CpuOps::matmul_top(ConstRows x, const Matrix& w, bool probability, std::span<Choice> out,
                        float* workspace) const {
  const Operand operand = prepare(x, operand_of(w), workspace);
  auto* const tops = reinterpret_cast<RunningTop*>(workspace + operand_floats(x.rows, x.cols));
  RunningTop* const own = tops + static_cast<size_t>(here.index) * x.rows;
  std::fill_n(own, x.rows, kNoTop);
  here.share_run(panels_of(w), [&](int begin, int end) {
    top_of_products(operand, w, {begin, end}, probability, own);
  });
  // Threads have ascending blocks, so the first of equals has the lowest id.
  here.share(x.rows, [&](int m) {
    RunningTop best = kNoTop;
    bool finite = true;
    for (int t = 0; t < here.size(); ++t) {
      const RunningTop& of_thread = tops[static_cast<size_t>(t) * x.rows + m];
      finite &= of_thread.finite;
      if (of_thread.id >= 0 && (best.id < 0 || of_thread.top > best.top)) best = of_thread;
    }
    float total = 0;
    for (int t = 0; t < here.size() && probability; ++t) {
      const RunningTop& of_thread = tops[static_cast<size_t>(t) * x.rows + m];
      if (of_thread.id >= 0) total += of_thread.total * std::exp(of_thread.top - best.top);
    }
    out[m] = {finite ? best.id : -1, best.top, probability ? 1 / total : 0};
  });
}

void CpuOps::rope_table(std::span<const int32_t> positions, std::span<const float> inv_freq,
                        Rows cos, Rows sin) const {
  here.share(cos.rows, [&](int m) {
    for (size_t i = 0; i < inv_freq.size(); ++i) {
      const float angle = static_cast<float>(positions[m]) * inv_freq[i];
      // In double: the library's float functions may be a unit off, and differ between versions.
      cos.row(m)[i] = static_cast<float>(std::cos(static_cast<double>(angle)));
      sin.row(m)[i] = static_cast<float>(std::sin(static_cast<double>(angle)));
    }
  });
}

void CpuOps::norm_rope_store(Rows q, Rows k, ConstRows v, std::span<const float> q_weight,
                             std::span<const float> k_weight, float eps, const Rope& rope,
                             std::span<const AttentionSpan> spans, const KvLayout& layout,
                             size_t cache_offset) const {
  const int heads = q.cols / layout.head_dim;
  const auto dim = static_cast<size_t>(layout.head_dim);
  const int all_heads = heads + layout.kv_heads;
  const auto do_head = [&](const AttentionSpan& span, int i, int h) {
    const int m = span.first_row + i;
    const float* cos = rope.cos.row(m);
    const float* sin = rope.sin.row(m);
    if (h < heads) {
      return norm_rope_head(q.row(m) + dim * h, layout.head_dim, q_weight, eps, cos, sin);
    }
    const size_t kv_head = h - heads;
    float* const key = k.row(m) + dim * kv_head;
    norm_rope_head(key, layout.head_dim, k_weight, eps, cos, sin);
    const int slot = span.has_block() ? i : span.first_position + i;
    std::byte* const tile = (span.has_block() ? span.block[slot / kPageSize]
                                              : span.cache[slot / kPageSize] + cache_offset) +
                            layout.tile_bytes() * kv_head;
    store_key_value(key, v.row(m) + dim * kv_head, slot % kPageSize, layout, tile);
  };
  for (const AttentionSpan& span : spans) {
    here.share_without_waiting(span.rows * all_heads, [&](int task) {
      do_head(span, task / all_heads, task % all_heads);
    });
  }
  here.wait();
}

void CpuOps::copy_slots(std::span<const SlotCopy> copies, const KvLayout& layout,
                        size_t cache_offset) const {
  if (copies.empty()) return;
  here.share(static_cast<int>(copies.size()) * layout.kv_heads, [&](int task) {
    const SlotCopy& copy = copies[static_cast<size_t>(task / layout.kv_heads)];
    const size_t at = cache_offset + layout.tile_bytes() * (task % layout.kv_heads);
    copy_key_values(copy.from + at, copy.to + at, copy.begin, copy.end, layout);
  });
}

void CpuOps::attention(ConstRows q, std::span<const AttentionSpan> spans, const KvLayout& layout,
                       size_t cache_offset, Rows out, float* workspace) const {
  float* const own = workspace + static_cast<size_t>(here.index) * attend_floats(layout);
  const int group = q.cols / layout.head_dim / layout.kv_heads;
  int queries = 0;  // of a key head
  for (const AttentionSpan& span : spans) queries += span.rows * group;
  // Many queries together read each tile once; but there should be a task for every thread. Those
  // of a row stay together where they can.
  int together = std::clamp(queries * layout.kv_heads / here.size(), 1, kMostQueries);
  if (together > group) together -= together % group;
  const int parts = ceil_div(queries, together);
  // Later rows see more: taken in turn, every thread gets some of each.
  here.share_in_turn(parts * layout.kv_heads, [&](int task) {
    const int first = task / layout.kv_heads * together;
    attend(q, spans, task % layout.kv_heads, group, first, std::min(together, queries - first),
           layout, cache_offset, out, own);
  });
  here.wait();
}

}  // namespace orthrus
