// What is done with the products: stored, added, gated, or searched for the largest. Strip by
// strip, so that none is written to memory in vain.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/matmul.cpp"
#include <hwy/foreach_target.h>
// The above must be first.
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "kernels/cpu/lanes-inl.h"
#include "kernels/cpu/matmul.h"

HWY_BEFORE_NAMESPACE();
namespace orthrus::cpu::HWY_NAMESPACE {
namespace {

// Calls use(place, first row, rows) for each strip of the run.
template <typename Use>
HWY_INLINE void for_each_strip(int tokens, const Matrix& w, Run run, int most_panels, Use use) {
  for (int panel = run.begin; panel < run.end; panel += most_panels) {
    const int panels = std::min(most_panels, run.end - panel);
    const int row = panel * kPanelRows;
    const int rows = std::min(panels * kPanelRows, w.rows - row);
    for (int first = 0; first < tokens; first += kStripTokens) {
      const int count = std::min(kStripTokens, tokens - first);
      use(StripPlace{first, count, panel, panels, run.end}, row, rows);
    }
  }
}

// Calls use(token, row, rows, values) for each strip's tokens.
template <typename Use>
HWY_INLINE void for_each_token(const Operand& x, const Matrix& w, Run run, Use use) {
  Strip strip;
  const Products& products = packed_format(w.type).products();
  for_each_strip(x.rows, w, run, products.panels(x.rows),
                 [&](const StripPlace& place, int row, int rows) HWY_ATTR {
                   products.multiply(x, w, place, strip);
                   for (int t = 0; t < place.tokens; ++t) {
                     use(place.first + t, row, rows, strip.of[t]);
                   }
                 });
}

// to = values + more, `rows` of them. `to` may be `more`.
HWY_INLINE void store_sums(const float* values, const float* more, int rows, float* to) {
  int r = 0;
  for (; r + kWidth <= rows; r += kWidth) {
    hn::StoreU(hn::Add(load(more + r), hn::Load(kF, values + r)), kF, to + r);
  }
  for (; r < rows; ++r) to[r] = more[r] + values[r];
}

void store(const Operand& x, const Product& product, Run run) {
  for_each_token(x, *product.w, run, [&](int m, int row, int rows, const float* values) HWY_ATTR {
    float* const to = product.out.row(m) + row;
    if (product.bias != nullptr) return store_sums(values, product.bias + row, rows, to);
    std::memcpy(to, values, rows * sizeof(float));
  });
}

void add(const Operand& x, const Matrix& w, Run run, Rows out) {
  for_each_token(x, w, run, [&](int m, int row, int rows, const float* values) HWY_ATTR {
    float* const to = out.row(m) + row;
    store_sums(values, to, rows, to);
  });
}

void swiglu(const Operand& x_gate, const Matrix& gate, const Operand& x_up, const Matrix& up,
            Run run, Rows out) {
  Strip gates, ups;
  const Products& of_gate = packed_format(gate.type).products();
  const Products& of_up = packed_format(up.type).products();
  const int panels = std::min(of_gate.panels(out.rows), of_up.panels(out.rows));
  for_each_strip(out.rows, gate, run, panels,
                 [&](const StripPlace& place, int row, int rows) HWY_ATTR {
                   of_gate.multiply(x_gate, gate, place, gates);
                   of_up.multiply(x_up, up, place, ups);
                   for (int t = 0; t < place.tokens; ++t) {
                     for (int r = 0; r < rows; r += kWidth) {
                       const VF g = hn::Load(kF, &gates.of[t][r]);
                       const VF silu = hn::Div(g, hn::Add(hn::Set(kF, 1.0f), exp(hn::Neg(g))));
                       hn::Store(hn::Mul(silu, hn::Load(kF, &ups.of[t][r])), kF, &gates.of[t][r]);
                     }
                     std::memcpy(out.row(place.first + t) + row, gates.of[t], rows * sizeof(float));
                   }
                 });
}

// Takes logits of `rows` rows from `row` on into a running top. Whole registers of them are there.
void take(float* logits, int row, int rows, bool probability, RunningTop& best) {
  int padded = rows;
  while (padded % kWidth != 0) logits[padded++] = logits[0];
  VF largest = hn::Load(kF, logits);
  bool finite = true;
  for (int i = 0; i < padded; i += kWidth) {
    const VF v = hn::Load(kF, logits + i);
    largest = hn::Max(largest, v);
    finite &= hn::AllTrue(kF, hn::Le(hn::Abs(v), hn::Set(kF, 3.4028235e38f)));  // not of a NaN
  }
  best.finite &= finite;
  const float before = best.top;
  if (best.id < 0 || hn::GetLane(hn::MaxOfLanes(kF, largest)) > best.top) {
    for (int r = 0; r < rows; ++r) {
      if (best.id >= 0 && !(logits[r] > best.top)) continue;
      best.top = logits[r];
      best.id = row + r;
    }
  }
  if (!probability) return;
  const VF tops = hn::Set(kF, best.top);
  if (best.top != before) {
    best.total *= hn::GetLane(exp(hn::Sub(hn::Set(kF, before), tops)));
  }
  VF sum = hn::Zero(kF);
  for (int i = 0; i < padded; i += kWidth) {
    const VF term = exp(hn::Sub(hn::Load(kF, logits + i), tops));
    const VF place = hn::Add(hn::Iota(kF, 0), hn::Set(kF, static_cast<float>(i)));
    const auto there = hn::Lt(place, hn::Set(kF, static_cast<float>(rows)));
    sum = hn::Add(sum, hn::IfThenElseZero(there, term));
  }
  best.total += hn::GetLane(hn::SumOfLanes(kF, sum));
}

void top(const Operand& x, const Matrix& w, Run run, bool probability, RunningTop* tops) {
  for_each_token(x, w, run, [&](int m, int row, int rows, float* values) {
    take(values, row, rows, probability, tops[m]);
  });
}

}  // namespace
}  // namespace orthrus::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace orthrus::cpu {

HWY_EXPORT(store);
HWY_EXPORT(add);
HWY_EXPORT(swiglu);
HWY_EXPORT(top);

void store_products(const Operand& x, const Product& product, Run run) {
  HWY_DYNAMIC_DISPATCH(store)(x, product, run);
}
void add_products(const Operand& x, const Matrix& w, Run run, Rows out) {
  HWY_DYNAMIC_DISPATCH(add)(x, w, run, out);
}
void swiglu_products(const Operand& x_gate, const Matrix& gate, const Operand& x_up,
                     const Matrix& up, Run run, Rows out) {
  HWY_DYNAMIC_DISPATCH(swiglu)(x_gate, gate, x_up, up, run, out);
}
void top_of_products(const Operand& x, const Matrix& w, Run run, bool probability,
                     RunningTop* tops) {
  HWY_DYNAMIC_DISPATCH(top)(x, w, run, probability, tops);
}

}  // namespace orthrus::cpu
#endif  // HWY_ONCE
