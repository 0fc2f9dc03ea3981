// RMSNorm of rows and of heads, and the rotary embedding.
#include <cmath>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/simd.h"

namespace orthrus {
namespace {

using namespace cpu;

// The sum of squares: eight running sums, then one fixed tree, then the elements past the last
// whole eight in order.
float sum_of_squares(const float* x, size_t count) {
  Float8 acc = {};
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const Float8 v = load(x + i);
    acc += v * v;
  }
  float total = sum(acc);
  for (; i < count; ++i) total += x[i] * x[i];
  return total;
}

void norm(const float* x, std::span<const float> weight, float eps, float* out) {
  const size_t n = weight.size();
  const float scale = 1.0f / std::sqrt(sum_of_squares(x, n) / static_cast<float>(n) + eps);
  for (size_t i = 0; i < n; ++i) out[i] = x[i] * scale * weight[i];
}

void rotate(float* x, int half, const float* cos, const float* sin) {
  for (int i = 0; i < half; ++i) {
    const float a = x[i];
    const float b = x[i + half];
    x[i] = a * cos[i] - b * sin[i];
    x[i + half] = b * cos[i] + a * sin[i];
  }
}

}  // namespace

void CpuOps::rms_norm(ConstRows x, std::span<const float> weight, float eps, Rows out) const {
  for (int m = 0; m < x.rows; ++m) norm(x.row(m), weight, eps, out.row(m));
}

void CpuOps::rope_table(std::span<const int32_t> positions, std::span<const float> inv_freq,
                        Rows cos, Rows sin) const {
  constexpr int kWorkPerAngle = 100;  // sine and cosine in double
  const int threads = team(positions.size() * inv_freq.size() * kWorkPerAngle);
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int m = 0; m < cos.rows; ++m) {
    for (size_t i = 0; i < inv_freq.size(); ++i) {
      const float angle = static_cast<float>(positions[m]) * inv_freq[i];
      // In double: the library's float functions may be a unit off, and differ between versions.
      cos.row(m)[i] = static_cast<float>(std::cos(static_cast<double>(angle)));
      sin.row(m)[i] = static_cast<float>(std::sin(static_cast<double>(angle)));
    }
  }
}

void CpuOps::head_norm_rope(Rows x, std::span<const float> weight, float eps,
                            const Rope& rope) const {
  const auto head_dim = static_cast<int>(weight.size());
  const int heads = x.cols / head_dim;
  const int threads = team(static_cast<size_t>(x.rows) * x.cols * 8);
#pragma omp parallel for collapse(2) schedule(static) num_threads(threads)
  for (int m = 0; m < x.rows; ++m) {
    for (int h = 0; h < heads; ++h) {
      float* head = x.row(m) + static_cast<size_t>(h) * head_dim;
      norm(head, weight, eps, head);
      rotate(head, head_dim / 2, rope.cos.row(m), rope.sin.row(m));
    }
  }
}

}  // namespace orthrus
