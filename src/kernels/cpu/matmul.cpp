// Matrix products whose bits do not depend on how many tokens share them.
//
// An output of float weights is one dot product, computed the same way wherever it stands: sixteen
// running sums over ascending columns, then one fixed tree. A tile computes several tokens and
// weight rows at once only to load each value less often; no sum is shared between outputs, and
// where sums are set aside between chunks of columns they are set aside whole. Of a step of 32
// columns c, running sum l takes columns c + l and c + 16 + l, in BF16 c + 2l and c + 2l + 1, in
// this order. What is missing from the last step is zeros.
//
// An output of Q8_0 weights is one running sum over ascending blocks of 32 columns: the block's dot
// product of integers, which is exact, times the two scales' product.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/matmul.cpp"
#include <hwy/foreach_target.h>
// The above must be first.
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu/lanes-inl.h"
#include "kernels/cpu/matmul.h"
#include "kernels/cpu/quad_dot-inl.h"

HWY_BEFORE_NAMESPACE();
namespace orthrus::cpu::HWY_NAMESPACE {
namespace {

// A tile is at most kTileTokens tokens by kTileRows weight rows. With 32 registers that is up to 24
// running sums of one register each; a loaded weight serves 6 products, an activation 4. With 16
// registers, up to 12 running sums of 8 lanes each, the other 8 lanes in another round.
constexpr int kTileTokens = 6;
constexpr int kTileRows = HWY_MAX_BYTES >= 64 ? 4 : 2;

// A tile of Q8_0 weights has one row of registers, and for each token a dot product and a sum.
constexpr int kTileTokensQ8 = HWY_MAX_BYTES >= 64 ? 8 : 5;
constexpr int kMostTokens = 8;  // of any tile

// Columns whose activations stay in L1 while all rows of a block pass.
constexpr int kChunk = 1024;

// The running sums of a tile's tokens with a block's rows.
struct Sums {
  HWY_ALIGN float lanes[kTileTokens][kBlockRows][kLanes];
};

// 16 of the 32 weights of a step, half 0 or 1, in the order that prepare_row() gives activations.
template <int kHalf, typename Weight>
HWY_INLINE VF load_half(const Weight* step, int lane) {
  return load(step + kHalf * kLanes + lane);
}
template <int kHalf>
HWY_INLINE VF load_half(const BF16* step, int lane) {
  const hn::RebindToUnsigned<DF> u;
  const auto both = hn::BitCast(u, hn::LoadU(hn::Repartition<uint16_t, DF>(),
                                             reinterpret_cast<const uint16_t*>(step + 2 * lane)));
  if constexpr (kHalf == 0) return hn::BitCast(kF, hn::ShiftLeft<16>(both));
  return hn::BitCast(kF, hn::And(both, hn::Set(u, 0xffff0000u)));
}

// Adds the products of `cols` columns, whole steps, to the running sums of T tokens and R rows,
// which begin at zero when `begin`. If kAhead, weights `ahead` elements further on are brought into
// L2 on the way.
template <int T, int R, bool kAhead, typename Weight>
HWY_NOINLINE void add_products(const float* HWY_RESTRICT x, size_t x_stride,
                               const Weight* const* HWY_RESTRICT rows, int cols, size_t ahead,
                               bool begin, float* HWY_RESTRICT sums) {
  const Weight* HWY_RESTRICT w[R];
  for (int r = 0; r < R; ++r) w[r] = rows[r];
  for (int lane = 0; lane < kLanes; lane += kWidth) {
    VF acc[T][R];
    for (int t = 0; t < T; ++t) {
      for (int r = 0; r < R; ++r) {
        acc[t][r] =
            begin ? hn::Zero(kF) : hn::Load(kF, sums + (t * kBlockRows + r) * kLanes + lane);
      }
    }
    for (int k = 0; k < cols; k += kStep) {
      if constexpr (kAhead) {
        constexpr int kLine = 64 / sizeof(Weight);
        for (int r = 0; r < R; ++r) {
          for (int i = 0; i < kStep; i += kLine) __builtin_prefetch(w[r] + k + i + ahead, 0, 2);
        }
      }
      const auto half = [&]<int kHalf>() HWY_ATTR {
        VF v[R];
        HWY_UNROLL(4)
        for (int r = 0; r < R; ++r) v[r] = load_half<kHalf>(w[r] + k, lane);
        HWY_UNROLL(8)
        for (int t = 0; t < T; ++t) {
          const VF a = load(x + t * x_stride + k + kHalf * kLanes + lane);
          HWY_UNROLL(4)
          for (int r = 0; r < R; ++r) acc[t][r] = hn::MulAdd(a, v[r], acc[t][r]);
        }
      };
      half.template operator()<0>();
      half.template operator()<1>();
    }
    for (int t = 0; t < T; ++t) {
      for (int r = 0; r < R; ++r) {
        hn::Store(acc[t][r], kF, sums + (t * kBlockRows + r) * kLanes + lane);
      }
    }
  }
}

// out[t][r] = x[t] . w[r] for T tokens and the 16 rows of block b; rows past the matrix repeat its
// last one.
template <int T, typename Weight>
void multiply_block(const Operand& x, int first_token, const Matrix& matrix, int b, float* out) {
  const auto* weights = static_cast<const Weight*>(matrix.data);
  const auto cols = static_cast<size_t>(matrix.cols);
  const Weight* rows[kBlockRows];
  for (int r = 0; r < kBlockRows; ++r) {
    rows[r] = weights + cols * static_cast<size_t>(std::min(b * kBlockRows + r, matrix.rows - 1));
  }
  const auto* activations =
      reinterpret_cast<const float*>(x.data + x.stride * static_cast<size_t>(first_token));
  const size_t stride = x.stride / sizeof(float);

  Sums sums;
  const int whole = matrix.cols / kStep * kStep;
  for (int k = 0; k < whole; k += kChunk) {
    const int count = std::min(kChunk, whole - k);
    for (int r = 0; r < kBlockRows; r += kTileRows) {
      const Weight* at[kTileRows];
      for (int i = 0; i < kTileRows; ++i) at[i] = rows[r + i] + k;
      if (first_token == 0) {  // the only tokens, or the first: the others find the weights in L2
        add_products<T, kTileRows, true>(activations + k, stride, at, count, cols * kBlockRows,
                                         k == 0, sums.lanes[0][r]);
      } else {
        add_products<T, kTileRows, false>(activations + k, stride, at, count, 0, k == 0,
                                          sums.lanes[0][r]);
      }
    }
  }
  if (const int rest = matrix.cols - whole; rest > 0) {
    for (int r = 0; r < kBlockRows; r += kTileRows) {
      Weight last[kTileRows][kStep] = {};
      const Weight* at[kTileRows];
      for (int i = 0; i < kTileRows; ++i) {
        std::memcpy(last[i], rows[r + i] + whole, rest * sizeof(Weight));
        at[i] = last[i];
      }
      add_products<T, kTileRows, false>(activations + whole, stride, at, kStep, 0, whole == 0,
                                        sums.lanes[0][r]);
    }
  }
  for (int t = 0; t < T; ++t) sums_of_16(sums.lanes[t][0], out + t * kBlockRows);
}

// The same of Q8_0 weights: a register has 4 columns of each of its rows.
template <int T>
void multiply_block_q8(const Operand& x, int first_token, const Matrix& matrix, int b, float* out) {
  const size_t group_bytes = Q8Group::bytes(matrix.cols);
  const auto* group = static_cast<const uint8_t*>(matrix.data) + group_bytes * b;
  const size_t blocks = Q8Group::blocks(matrix.cols);
  const auto* scales = reinterpret_cast<const F16*>(group + blocks * Q8Group::kBlockBytes);
  const int8_t* quants[T];
  const float* x_scales[T];
  const int32_t* x_sums[T];
  for (int t = 0; t < T; ++t) {
    const Q8Row<const std::byte> row(x.data + x.stride * static_cast<size_t>(first_token + t),
                                     matrix.cols);
    quants[t] = row.quants();
    x_scales[t] = row.scales();
    x_sums[t] = row.sums();
  }
  for (int lane = 0; lane < kLanes; lane += kWidth) {
    VF acc[T];
    for (int t = 0; t < T; ++t) acc[t] = hn::Zero(kF);
    for (size_t i = 0; i < blocks; ++i) {
      const uint8_t* w = group + i * Q8Group::kBlockBytes + lane * 4;
      VI dots[T];
      HWY_UNROLL(8)
      for (int t = 0; t < T; ++t) dots[t] = quad_dot_start(x_sums[t][i]);
      HWY_UNROLL(8)
      for (int quad = 0; quad < kStep / 4; ++quad) {
        const Quads v = load_quads(w + quad * kBlockRows * 4);
        if (first_token == 0) __builtin_prefetch(w + quad * kBlockRows * 4 + group_bytes, 0, 2);
        HWY_UNROLL(8)
        for (int t = 0; t < T; ++t) {
          dots[t] = quad_dot(dots[t], v, quants[t] + i * kStep + quad * 4);
        }
      }
      const VF scale = load(scales + i * kBlockRows + lane);
      HWY_UNROLL(8)
      for (int t = 0; t < T; ++t) {
        const VF both = hn::Mul(scale, hn::Set(kF, x_scales[t][i]));
        acc[t] = hn::MulAdd(hn::ConvertTo(kF, dots[t]), both, acc[t]);
      }
    }
    for (int t = 0; t < T; ++t) hn::StoreU(acc[t], kF, out + t * kBlockRows + lane);
  }
}

template <int T>
void multiply_tokens(const Operand& x, int first_token, const Matrix& w, int b, float* out) {
  if (w.type == DType::kQ8_0) {
    if constexpr (T <= kTileTokensQ8) multiply_block_q8<T>(x, first_token, w, b, out);
    return;
  }
  if constexpr (T <= kTileTokens) {
    if (w.type == DType::kF32) multiply_block<T, float>(x, first_token, w, b, out);
    if (w.type == DType::kF16) multiply_block<T, F16>(x, first_token, w, b, out);
    if (w.type == DType::kBF16) multiply_block<T, BF16>(x, first_token, w, b, out);
  }
}

void multiply(const Operand& x, int first_token, int tokens, const Matrix& w, int b, float* out) {
  using Multiply = void (*)(const Operand&, int, const Matrix&, int, float*);
  constexpr Multiply kOfTokens[kMostTokens] = {
      multiply_tokens<1>, multiply_tokens<2>, multiply_tokens<3>, multiply_tokens<4>,
      multiply_tokens<5>, multiply_tokens<6>, multiply_tokens<7>, multiply_tokens<8>};
  kOfTokens[tokens - 1](x, first_token, w, b, out);
}

// Tokens of a tile: as few tiles as can be, and those as even as can be.
int tile_tokens(int tokens, const Matrix& w) {
  const int most = w.type == DType::kQ8_0 ? kTileTokensQ8 : kTileTokens;
  const int tiles = (tokens + most - 1) / most;
  return (tokens + tiles - 1) / tiles;
}

// Calls use(m, values) with the block's 16 outputs of each token.
template <typename Use>
HWY_INLINE void for_each_token(const Operand& x, const Matrix& w, int b, Use use) {
  HWY_ALIGN float values[kMostTokens * kBlockRows];
  const int most = tile_tokens(x.rows, w);
  for (int first = 0; first < x.rows; first += most) {
    const int tokens = std::min(most, x.rows - first);
    multiply(x, first, tokens, w, b, values);
    for (int t = 0; t < tokens; ++t) use(first + t, values + t * kBlockRows);
  }
}

int rows_of_block(const Matrix& w, int b) {
  return std::min(kBlockRows, w.rows - b * kBlockRows);
}

void store(const Operand& x, const Matrix& w, int b, Rows out) {
  const int rows = rows_of_block(w, b);
  for_each_token(x, w, b, [&](int m, const float* values) {
    std::memcpy(out.row(m) + b * kBlockRows, values, rows * sizeof(float));
  });
}

void add(const Operand& x, const Matrix& w, int b, Rows out) {
  const int rows = rows_of_block(w, b);
  for_each_token(x, w, b, [&](int m, const float* values) {
    float* to = out.row(m) + b * kBlockRows;
    for (int r = 0; r < rows; ++r) to[r] += values[r];
  });
}

void swiglu(const Operand& x_gate, const Matrix& gate, const Operand& x_up, const Matrix& up, int b,
            Rows out) {
  const int rows = rows_of_block(gate, b);
  HWY_ALIGN float gates[kMostTokens * kBlockRows];
  HWY_ALIGN float ups[kMostTokens * kBlockRows];
  const int most = std::min(tile_tokens(out.rows, gate), tile_tokens(out.rows, up));
  for (int first = 0; first < out.rows; first += most) {
    const int tokens = std::min(most, out.rows - first);
    multiply(x_gate, first, tokens, gate, b, gates);
    multiply(x_up, first, tokens, up, b, ups);
    for (int i = 0; i < tokens * kBlockRows; i += kWidth) {
      const VF g = hn::Load(kF, gates + i);
      const VF silu = hn::Div(g, hn::Add(hn::Set(kF, 1.0f), exp(hn::Neg(g))));
      hn::Store(hn::Mul(silu, hn::Load(kF, ups + i)), kF, gates + i);
    }
    for (int t = 0; t < tokens; ++t) {
      std::memcpy(out.row(first + t) + b * kBlockRows, gates + t * kBlockRows,
                  rows * sizeof(float));
    }
  }
}

void top(const Operand& x, const Matrix& w, int b, bool probability, RunningTop* tops) {
  const int rows = rows_of_block(w, b);
  for_each_token(x, w, b, [&](int m, const float* values) {
    RunningTop& best = tops[m];
    const float before = best.top;
    VF largest = hn::Load(kF, values);
    bool finite = true;
    for (int i = 0; i < kLanes; i += kWidth) {
      const VF v = hn::Load(kF, values + i);
      largest = hn::Max(largest, v);
      finite &= hn::AllTrue(kF, hn::Le(hn::Abs(v), hn::Set(kF, 3.4028235e38f)));  // not of a NaN
    }
    best.finite &= finite;
    // Of rows past the matrix it only looks once more.
    if (best.id < 0 || hn::GetLane(hn::MaxOfLanes(kF, largest)) > best.top) {
      for (int r = 0; r < rows; ++r) {
        if (best.id >= 0 && !(values[r] > best.top)) continue;
        best.top = values[r];
        best.id = b * kBlockRows + r;
      }
    }
    if (!probability) return;
    HWY_ALIGN float terms[kLanes];
    if (best.top != before) {
      hn::Store(exp(hn::Set(kF, before - best.top)), kF, terms);
      best.total *= terms[0];
    }
    for (int i = 0; i < kLanes; i += kWidth) {
      hn::Store(exp(hn::Sub(hn::Load(kF, values + i), hn::Set(kF, best.top))), kF, terms + i);
    }
    for (int r = rows; r < kLanes; ++r) terms[r] = 0;
    best.total += sum_of(terms);
  });
}

// De-interleaves the even and the odd columns of each step.
void prepare_bf16(const float* x, int cols, float* to) {
  int k = 0;
  for (; k + kStep <= cols; k += kStep) {
    for (int lane = 0; lane < kLanes; lane += kWidth) {
      VF even, odd;
      hn::LoadInterleaved2(kF, x + k + 2 * lane, even, odd);
      hn::StoreU(even, kF, to + k + lane);
      hn::StoreU(odd, kF, to + k + kLanes + lane);
    }
  }
  if (k == cols) return;
  std::memset(to + k, 0, kStep * sizeof(float));
  for (int i = 0; k + i < cols; ++i) to[k + i / 2 + i % 2 * kLanes] = x[k + i];
}

void prepare_q8(const float* x, int cols, std::byte* to) {
  const Q8Row<std::byte> row(to, cols);
  HWY_ALIGN float last[kStep] = {};
  for (size_t i = 0; i < row.blocks; ++i) {
    const float* from = x + i * kStep;
    if (const int left = cols - static_cast<int>(i) * kStep; left < kStep) {
      std::memcpy(last, from, left * sizeof(float));
      from = last;
    }
    VF largest = hn::Zero(kF);
    for (int k = 0; k < kStep; k += kWidth) largest = hn::Max(largest, hn::Abs(load(from + k)));
    const float scale = hn::GetLane(hn::MaxOfLanes(kF, largest)) / 127.0f;
    const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
    const hn::RebindToSigned<DF> wide;
    const hn::Rebind<int8_t, DF> narrow;
    auto sum = hn::Zero(wide);
    for (int k = 0; k < kStep; k += kWidth) {
      const auto q = hn::NearestInt(hn::Mul(load(from + k), hn::Set(kF, inverse)));
      sum = hn::Add(sum, q);
      hn::StoreU(hn::DemoteTo(narrow, q), narrow, row.quants() + i * kStep + k);
    }
    row.scales()[i] = scale;
    row.sums()[i] = hn::GetLane(hn::SumOfLanes(wide, sum));
  }
}

void prepare(const float* x, int cols, DType type, std::byte* operand) {
  auto* const floats = reinterpret_cast<float*>(operand);
  switch (type) {
    case DType::kF32:
    case DType::kF16:
      std::memcpy(floats, x, cols * sizeof(float));
      std::memset(floats + cols, 0, (round_up(cols, kStep) - cols) * sizeof(float));
      return;
    case DType::kBF16:
      return prepare_bf16(x, cols, floats);
    case DType::kQ8_0:
      return prepare_q8(x, cols, operand);
  }
}

}  // namespace
}  // namespace orthrus::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace orthrus::cpu {

HWY_EXPORT(prepare);
HWY_EXPORT(store);
HWY_EXPORT(add);
HWY_EXPORT(swiglu);
HWY_EXPORT(top);

void prepare_row(const float* x, int cols, DType type, std::byte* operand) {
  HWY_DYNAMIC_DISPATCH(prepare)(x, cols, type, operand);
}
void store_block(const Operand& x, const Matrix& w, int b, Rows out) {
  HWY_DYNAMIC_DISPATCH(store)(x, w, b, out);
}
void add_block(const Operand& x, const Matrix& w, int b, Rows out) {
  HWY_DYNAMIC_DISPATCH(add)(x, w, b, out);
}
void swiglu_block(const Operand& x_gate, const Matrix& gate, const Operand& x_up, const Matrix& up,
                  int b, Rows out) {
  HWY_DYNAMIC_DISPATCH(swiglu)(x_gate, gate, x_up, up, b, out);
}
void top_block(const Operand& x, const Matrix& w, int b, bool probability, RunningTop* tops) {
  HWY_DYNAMIC_DISPATCH(top)(x, w, b, probability, tops);
}

}  // namespace orthrus::cpu
#endif  // HWY_ONCE
