// Matrix products whose bits do not depend on how many tokens share them.
//
// Each output is one dot product over K, computed the same way wherever it stands: sixteen running
// sums, sum l taking the elements k with k % 16 == l in ascending k, then added as a fixed tree. A
// tile computes several tokens and weight rows at once only to load each value less often; no sum
// is ever shared between outputs, and K is never split. A K that is not a multiple of 16 is
// finished with zeros, which change no sum.
#include <algorithm>
#include <cstring>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/simd.h"

namespace orthrus {
namespace {

using namespace cpu;

// 4 tokens by 2 rows by 2 registers: 16 accumulators, so a loaded weight serves 4 products and an
// activation 2, and what does not fit 16 registers is the compiler's cheapest spill.
constexpr int kTileTokens = 4;
constexpr int kTileRows = 2;
constexpr int kStep = 2 * kLanes;
// Weight rows that a thread takes at a time: they stay in L2 while all tokens pass.
constexpr int kBlockRows = 16;

// out[t][r] = x[t] . w[r] for T tokens and R weight rows.
template <int T, int R, typename Weight>
void dot_tile(const float* x, size_t x_stride, const Weight* w, int cols, float* out,
              size_t out_stride) {
  Float8 acc[T][R][2] = {};
  const auto step = [&](const float* xs, size_t xs_stride, const Weight* ws, size_t ws_stride) {
    for (int r = 0; r < R; ++r) {
      const Float8 w0 = load_weights(ws + r * ws_stride);
      const Float8 w1 = load_weights(ws + r * ws_stride + kLanes);
      for (int t = 0; t < T; ++t) {
        acc[t][r][0] = madd(acc[t][r][0], load(xs + t * xs_stride), w0);
        acc[t][r][1] = madd(acc[t][r][1], load(xs + t * xs_stride + kLanes), w1);
      }
    }
  };
  const int whole = cols / kStep * kStep;
  for (int k = 0; k < whole; k += kStep) step(x + k, x_stride, w + k, static_cast<size_t>(cols));
  if (const int rest = cols - whole; rest > 0) {
    float x_end[T][kStep] = {};
    Weight w_end[R][kStep] = {};
    for (int t = 0; t < T; ++t)
      std::memcpy(x_end[t], x + t * x_stride + whole, rest * sizeof(float));
    for (int r = 0; r < R; ++r) {
      std::memcpy(w_end[r], w + r * static_cast<size_t>(cols) + whole, rest * sizeof(Weight));
    }
    step(x_end[0], kStep, w_end[0], kStep);
  }
  for (int t = 0; t < T; ++t) {
    for (int r = 0; r < R; ++r) out[t * out_stride + r] = sum(acc[t][r][0] + acc[t][r][1]);
  }
}

// All tokens against `rows` weight rows.
template <int R, typename Weight>
void dot_rows(ConstRows x, const Weight* w, float* out, size_t out_stride) {
  int t = 0;
  for (; t + kTileTokens <= x.rows; t += kTileTokens) {
    dot_tile<kTileTokens, R>(x.row(t), x.stride, w, x.cols, out + t * out_stride, out_stride);
  }
  for (; t < x.rows; ++t) {
    dot_tile<1, R>(x.row(t), x.stride, w, x.cols, out + t * out_stride, out_stride);
  }
}

template <typename Weight>
void multiply(ConstRows x, const Matrix& matrix, Rows out, int threads) {
  const auto* w = static_cast<const Weight*>(matrix.data);
  const auto cols = static_cast<size_t>(matrix.cols);
  const int blocks = (matrix.rows + kBlockRows - 1) / kBlockRows;
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int b = 0; b < blocks; ++b) {
    const int end = std::min(matrix.rows, (b + 1) * kBlockRows);
    int n = b * kBlockRows;
    for (; n + kTileRows <= end; n += kTileRows) {
      dot_rows<kTileRows>(x, w + n * cols, out.data + n, out.stride);
    }
    if (n < end) dot_rows<1>(x, w + n * cols, out.data + n, out.stride);
  }
}

}  // namespace

void CpuOps::matmul(ConstRows x, const Matrix& w, Rows out) const {
  switch (w.type) {
    case DType::kF32:
      return multiply<float>(x, w, out, threads_);
    case DType::kF16:
      return multiply<F16>(x, w, out, threads_);
    case DType::kBF16:
      return multiply<BF16>(x, w, out, threads_);
  }
}

}  // namespace orthrus
