// Each row by itself, in one fixed order of operations.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rows.cpp"
#include <hwy/foreach_target.h>
// The above must be first.
#include <hwy/highway.h>

#include <cmath>
#include <cstring>

#include "kernels/cpu/lanes-inl.h"
#include "kernels/cpu/rows.h"

HWY_BEFORE_NAMESPACE();
namespace orthrus::cpu::HWY_NAMESPACE {
namespace {

// Calls body(at, count) for whole registers, and for what is left of n with count < kWidth.
template <typename Body>
HWY_INLINE void for_registers(size_t n, Body body) {
  size_t i = 0;
  for (; i + kWidth <= n; i += kWidth) body(i, static_cast<size_t>(kWidth));
  if (i < n) body(i, n - i);
}

// The floats at p, the first `count` of them; zeros after.
HWY_INLINE VF load_some(const float* p, size_t count) {
  if (count == kWidth) return load(p);
  HWY_ALIGN float some[kWidth] = {};
  std::memcpy(some, p, count * sizeof(float));
  return hn::Load(kF, some);
}
HWY_INLINE void store_some(VF v, float* p, size_t count) {
  if (count == kWidth) return hn::StoreU(v, kF, p);
  HWY_ALIGN float some[kWidth];
  hn::Store(v, kF, some);
  std::memcpy(p, some, count * sizeof(float));
}

// Sixteen running sums over i % 16, then the tree.
float sum_of_squares(const float* x, size_t n) {
  HWY_ALIGN float lanes[kLanes];
  for (int lane = 0; lane < kLanes; lane += kWidth) {
    VF acc = hn::Zero(kF);
    for (size_t i = lane; i < n; i += kLanes) {
      const VF v = load_some(x + i, HWY_MIN(n - i, static_cast<size_t>(kWidth)));
      acc = hn::MulAdd(v, v, acc);
    }
    hn::Store(acc, kF, lanes + lane);
  }
  return sum_of(lanes);
}

void norm(const float* x, const float* weight, size_t n, float eps, float* out) {
  const float scale = 1.0f / std::sqrt(sum_of_squares(x, n) / static_cast<float>(n) + eps);
  const VF scales = hn::Set(kF, scale);
  for_registers(n, [&](size_t i, size_t count) HWY_ATTR {
    const VF scaled = hn::Mul(load_some(x + i, count), scales);
    store_some(hn::Mul(scaled, load_some(weight + i, count)), out + i, count);
  });
}

void norm_rope(float* head, size_t n, std::span<const float> weight, float eps, const float* cos,
               const float* sin) {
  if (!weight.empty()) norm(head, weight.data(), n, eps, head);
  const size_t half = n / 2;
  for_registers(half, [&](size_t i, size_t count) HWY_ATTR {
    const VF a = load_some(head + i, count), b = load_some(head + half + i, count);
    const VF c = load_some(cos + i, count), s = load_some(sin + i, count);
    store_some(hn::Sub(hn::Mul(a, c), hn::Mul(b, s)), head + i, count);
    store_some(hn::Add(hn::Mul(b, c), hn::Mul(a, s)), head + half + i, count);
  });
}

}  // namespace
}  // namespace orthrus::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace orthrus::cpu {

HWY_EXPORT(norm);
HWY_EXPORT(norm_rope);

void widen_row(const Matrix& table, int row, float* out) {
  const Format& format = format_of(table.type);
  format.widen(row_of(table, row), static_cast<size_t>(table.cols / format.block_columns), out);
}

void norm_row(const float* x, std::span<const float> weight, float eps, float* out) {
  HWY_DYNAMIC_DISPATCH(norm)(x, weight.data(), weight.size(), eps, out);
}

void norm_rope_head(float* head, int head_dim, std::span<const float> weight, float eps,
                    const float* cos, const float* sin) {
  HWY_DYNAMIC_DISPATCH(norm_rope)(head, static_cast<size_t>(head_dim), weight, eps, cos, sin);
}

void store_key_value(const float* key, const float* value, int slot, const KvLayout& layout,
                     std::byte* tile) {
  const size_t values_at =
      layout.keys_of_tile() + static_cast<size_t>(slot) * layout.value_stride();
  const auto store = [&](auto* to, auto as_element) {
    for (int d = 0; d < layout.head_dim; ++d) {
      to[d * kPageSize + slot] = as_element(key[d]);
      to[values_at + static_cast<size_t>(d)] = as_element(value[d]);
    }
  };
  if (layout.type == DType::kBF16) return store(reinterpret_cast<BF16*>(tile), to_bf16);
  store(reinterpret_cast<float*>(tile), [](float x) { return x; });
}

void copy_key_values(const std::byte* from, std::byte* to, int begin, int end,
                     const KvLayout& layout) {
  const size_t element = layout.element_bytes();
  const auto copy = [&](size_t first, size_t count) {
    std::memcpy(to + first * element, from + first * element, count * element);
  };
  const auto slot = static_cast<size_t>(begin), slots = static_cast<size_t>(end - begin);
  for (int d = 0; d < layout.head_dim; ++d) copy(static_cast<size_t>(d) * kPageSize + slot, slots);
  copy(layout.keys_of_tile() + slot * layout.value_stride(), slots * layout.value_stride());
}

}  // namespace orthrus::cpu
#endif  // HWY_ONCE
