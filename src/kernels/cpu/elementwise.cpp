// Embedding rows, SwiGLU, residual sums: each element by itself, in one fixed order of operations.
#include <cstring>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/exp.h"
#include "kernels/cpu/simd.h"

namespace orthrus {
namespace {

using namespace cpu;

template <typename Weight>
void widen(const Weight* from, int count, float* to) {
  int i = 0;
  for (; i + kLanes <= count; i += kLanes) store(to + i, load_weights(from + i));
  if (i == count) return;
  Weight rest[kLanes] = {};
  float wide[kLanes];
  std::memcpy(rest, from + i, (count - i) * sizeof(Weight));
  store(wide, load_weights(rest));
  std::memcpy(to + i, wide, (count - i) * sizeof(float));
}

}  // namespace

void CpuOps::embed(const Matrix& table, std::span<const int32_t> ids, Rows out) const {
  for (int m = 0; m < out.rows; ++m) {
    const size_t at = static_cast<size_t>(ids[m]) * static_cast<size_t>(table.cols);
    switch (table.type) {
      case DType::kF32:
        widen(static_cast<const float*>(table.data) + at, table.cols, out.row(m));
        break;
      case DType::kF16:
        widen(static_cast<const F16*>(table.data) + at, table.cols, out.row(m));
        break;
      case DType::kBF16:
        widen(static_cast<const BF16*>(table.data) + at, table.cols, out.row(m));
        break;
    }
  }
}

void CpuOps::swiglu(Rows gate, ConstRows up) const {
  constexpr int kWorkPerElement = 16;  // mostly the exponential
  const int threads =
      gate.rows == 1 ? 1 : team(static_cast<size_t>(gate.rows) * gate.cols * kWorkPerElement);
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int m = 0; m < gate.rows; ++m) {
    float* __restrict g = gate.row(m);
    const float* __restrict u = up.row(m);
    for (int i = 0; i < gate.cols; ++i) g[i] = g[i] / (1.0f + exp_f32(-g[i])) * u[i];
  }
}

void CpuOps::add(Rows x, ConstRows delta) const {
  for (int m = 0; m < x.rows; ++m) {
    float* __restrict to = x.row(m);
    const float* __restrict from = delta.row(m);
    for (int i = 0; i < x.cols; ++i) to[i] += from[i];
  }
}

}  // namespace orthrus
