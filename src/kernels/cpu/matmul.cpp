// Matrix products whose bits do not depend on how many tokens share them.
//
// An output of float weights is one running sum over ascending columns, from zero; with BF16
// weights over ascending pairs of columns, the second of a pair first. An output of Q8_0 weights is
// one over ascending blocks of 32 columns: of the block's dot product of integers, which is exact,
// times the product of the two scales. All stand in one lane of a register whose other lanes are
// outputs of neighbouring weight rows (formats.h), so that nothing is ever summed across lanes. A
// tile computes several tokens and registers of rows at once only to load each value less often;
// where sums are set aside between chunks of columns they are set aside whole.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/matmul.cpp"
#include <hwy/foreach_target.h>
// The above must be first.
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "kernels/cpu/lanes-inl.h"
#include "kernels/cpu/matmul.h"
#include "kernels/cpu/pair_dot-inl.h"
#include "kernels/cpu/quad_dot-inl.h"

HWY_BEFORE_NAMESPACE();
namespace orthrus::cpu::HWY_NAMESPACE {
namespace {

// A tile is T tokens by R registers of weight rows. Of 32 registers up to 24 are running sums, of
// 16 up to 12: each loaded weight then serves T products and each activation R. With few tokens,
// more rows keep enough sums that none waits for the one before.
constexpr bool kManyRegisters = HWY_MAX_BYTES >= 64 || HWY_ARCH_ARM_A64;
constexpr int kTileTokens = kManyRegisters ? 8 : 6;
constexpr int kTileRegisters = 4;
constexpr int most_registers(int tokens) {
  if (kManyRegisters) return tokens <= 6 ? 4 : 3;
  return tokens <= 2 ? 4 : tokens <= 4 ? 3 : 2;
}

// With Q8_0 weights an output needs two: the block's dot product, and the sum.
constexpr int kTileTokensQ8 = kManyRegisters ? 8 : 5;
constexpr int kTileRegistersQ8 = kManyRegisters ? 2 : 1;

struct TileShape {
  int tokens, registers;
};

// As few tiles as can be, and those as even as can be.
TileShape tile_shape(DType type, int tokens) {
  const bool q8 = type == DType::kQ8_0;
  const int most = q8 ? kTileTokensQ8 : kTileTokens;
  const int tiles = (tokens + most - 1) / most;
  const int even = (tokens + tiles - 1) / tiles;
  return {even, q8 ? kTileRegistersQ8 : most_registers(even)};
}

// Columns whose weights and activations stay in L2 while the tokens of a strip pass.
constexpr int kChunk = 1024;

// A strip's products: as many tokens as share one visit of the weights, by a tile's rows.
constexpr int kStripTokens = 48;
constexpr int kStripRows = kTileRegisters * kWidth;
struct Strip {
  HWY_ALIGN float of[kStripTokens][kStripRows];
};

// Where the rows of a register begin within their group, in elements of its innermost runs.
constexpr int place_in_group(int reg) {
  return reg % kRegisters * kWidth;
}
const std::byte* group_of(const Matrix& w, int reg) {
  return static_cast<const std::byte*>(w.data) +
         group_bytes(w.type, w.cols) * static_cast<size_t>(reg / kRegisters);
}

// A register's weights in one of two neighbouring columns, which begin at `pair`.
template <int kColumn, typename Weight>
HWY_INLINE VF load_column(const Weight* pair) {
  return load(pair + kColumn * kBlockRows);
}
template <int kColumn>
HWY_INLINE VF load_column(const BF16* pair) {
  const hn::RebindToUnsigned<DF> u;
  const auto both = hn::BitCast(
      u, hn::LoadU(hn::Repartition<uint16_t, DF>(), reinterpret_cast<const uint16_t*>(pair)));
  if constexpr (kColumn == 0) return hn::BitCast(kF, hn::ShiftLeft<16>(both));
  return hn::BitCast(kF, hn::And(both, hn::Set(u, 0xffff0000u)));
}

template <typename Weight>
const Weight* weights_of(const Matrix& w, int reg) {
  constexpr int kColumns = std::is_same_v<Weight, BF16> ? 2 : 1;  // side by side
  return reinterpret_cast<const Weight*>(group_of(w, reg)) + kColumns * place_in_group(reg);
}

// Column k + kColumn's products, k even.
template <int kColumn, int T, int R, typename Weight>
HWY_INLINE void add_column(const float* x, size_t x_stride, const Weight* const* w, int k,
                           VF (&acc)[T][R]) {
  VF v[R];
  HWY_UNROLL(4)
  for (int r = 0; r < R; ++r) v[r] = load_column<kColumn>(w[r] + k * kBlockRows);
  HWY_UNROLL(8)
  for (int t = 0; t < T; ++t) {
    const VF a = hn::Set(kF, x[t * x_stride + k + kColumn]);
    HWY_UNROLL(4)
    for (int r = 0; r < R; ++r) acc[t][r] = hn::MulAdd(a, v[r], acc[t][r]);
  }
}

template <int T, int R, typename Weight>
HWY_INLINE void add_two_columns(const float* x, size_t x_stride, const Weight* const* w, int k,
                                VF (&acc)[T][R]) {
  constexpr int kFirst = std::is_same_v<Weight, BF16> ? 1 : 0;
  add_column<kFirst, T, R>(x, x_stride, w, k, acc);
  add_column<1 - kFirst, T, R>(x, x_stride, w, k, acc);
}

#if ORTHRUS_HAS_PAIR_DOT
template <int T, int R>
HWY_INLINE void add_two_columns(const BF16* x, size_t x_stride, const BF16* const* w, int k,
                                VF (&acc)[T][R]) {
  Pairs v[R];
  HWY_UNROLL(4)
  for (int r = 0; r < R; ++r) v[r] = load_pairs(w[r] + k * kBlockRows);
  HWY_UNROLL(8)
  for (int t = 0; t < T; ++t) {
    const Pairs a = broadcast_pair(x + t * x_stride + k);
    HWY_UNROLL(4)
    for (int r = 0; r < R; ++r) acc[t][r] = pair_dot(acc[t][r], v[r], a);
  }
}
#endif

// Adds the products of `cols` columns to the sums of T tokens with R registers of rows, which begin
// at zero when `begin`. rows[r] is where register r's weights of the first column are; what lies at
// next[r] is brought into L2 on the way. Activations are floats, or BF16 where pair_dot() is to be
// had; with BF16 weights `cols` is even.
template <int T, int R, typename Weight, typename Activation>
HWY_NOINLINE void add_products(const Activation* HWY_RESTRICT x, size_t x_stride,
                               const Weight* const* rows, const Weight* const* next, int cols,
                               bool begin, float (*sums)[kStripRows]) {
  const Weight* w[R];
  const Weight* ahead[R];
  for (int r = 0; r < R; ++r) {
    w[r] = rows[r];
    ahead[r] = next[r];
  }
  VF acc[T][R];
  for (int t = 0; t < T; ++t) {
    for (int r = 0; r < R; ++r) {
      acc[t][r] = begin ? hn::Zero(kF) : hn::Load(kF, &sums[t][r * kWidth]);
    }
  }
  int k = 0;
  for (; k + 2 <= cols; k += 2) {
    constexpr int kLine = 64 / sizeof(Weight);
    HWY_UNROLL(4)
    for (int r = 0; r < R; ++r) {
      for (int i = 0; i < 2 * kBlockRows; i += kLine) {
        __builtin_prefetch(ahead[r] + k * kBlockRows + i, 0, 2);
      }
    }
    add_two_columns<T, R>(x, x_stride, w, k, acc);
  }
  if constexpr (!std::is_same_v<Weight, BF16>) {
    if (k < cols) add_column<0, T, R>(x, x_stride, w, k, acc);
  }
  for (int t = 0; t < T; ++t) {
    for (int r = 0; r < R; ++r) hn::Store(acc[t][r], kF, &sums[t][r * kWidth]);
  }
}

template <typename Weight, typename Activation>
using AddProducts = void (*)(const Activation*, size_t, const Weight* const*, const Weight* const*,
                             int, bool, float (*)[kStripRows]);

template <int T, typename Weight, typename Activation>
constexpr std::array<AddProducts<Weight, Activation>, kTileRegisters> products_of_tokens() {
  std::array<AddProducts<Weight, Activation>, kTileRegisters> of{};
  if constexpr (T <= kTileTokens) {
    constexpr int kMost = most_registers(T);
    of[0] = add_products<T, 1, Weight, Activation>;
    of[1] = add_products<T, 2, Weight, Activation>;
    if constexpr (kMost >= 3) of[2] = add_products<T, 3, Weight, Activation>;
    if constexpr (kMost >= 4) of[3] = add_products<T, 4, Weight, Activation>;
  }
  return of;
}

// Tokens [first, first + tokens) by registers [reg, reg + registers) of rows; `end` is where the
// thread's registers end.
template <typename Weight, typename Activation>
void multiply_floats(const Operand& x, int first, int tokens, int tile_tokens, const Matrix& matrix,
                     int reg, int registers, int end, Strip& strip) {
  static constexpr std::array<AddProducts<Weight, Activation>, kTileRegisters> kProducts[] = {
      products_of_tokens<1, Weight, Activation>(), products_of_tokens<2, Weight, Activation>(),
      products_of_tokens<3, Weight, Activation>(), products_of_tokens<4, Weight, Activation>(),
      products_of_tokens<5, Weight, Activation>(), products_of_tokens<6, Weight, Activation>(),
      products_of_tokens<7, Weight, Activation>(), products_of_tokens<8, Weight, Activation>()};
  // BF16 weights come in pairs of columns, and their activations are padded to pairs.
  const int padded = std::is_same_v<Weight, BF16> ? matrix.cols + matrix.cols % 2 : matrix.cols;
  for (int k = 0; k < matrix.cols; k += kChunk) {
    const int cols = std::min(kChunk, padded - k);
    const Weight* rows[kTileRegisters];
    const Weight* next[kTileRegisters];
    for (int r = 0; r < registers; ++r) {
      rows[r] = weights_of<Weight>(matrix, reg + r) + static_cast<size_t>(k) * kBlockRows;
      next[r] = rows[r];
      if (k + kChunk < matrix.cols) {
        next[r] += kChunk * kBlockRows;
      } else if (reg + registers + r < end) {
        next[r] = weights_of<Weight>(matrix, reg + registers + r);
      }
    }
    for (int t = 0; t < tokens; t += tile_tokens) {
      const int count = std::min(tile_tokens, tokens - t);
      const auto* from =
          reinterpret_cast<const Activation*>(x.data + x.stride * static_cast<size_t>(first + t)) +
          k;
      // The first tile asks for the weights that follow, for all.
      kProducts[count - 1][registers - 1](from, x.stride / sizeof(Activation), rows,
                                          t == 0 ? next : rows, cols, k == 0, strip.of + t);
    }
  }
}

// A register has 4 columns of each of its rows.
template <int T, int R>
HWY_NOINLINE void multiply_q8(const Operand& x, int first, const Matrix& matrix, int reg,
                              float (*out)[kStripRows]) {
  const size_t blocks = Q8Group::blocks(matrix.cols);
  const uint8_t* weights[R];
  const F16* scales[R];
  for (int r = 0; r < R; ++r) {
    const auto* group = reinterpret_cast<const uint8_t*>(group_of(matrix, reg + r));
    weights[r] = group + 4 * place_in_group(reg + r);
    scales[r] = reinterpret_cast<const F16*>(group + blocks * Q8Group::kBlockBytes) +
                place_in_group(reg + r);
  }
  const size_t ahead = Q8Group::bytes(matrix.cols) * ((R + kRegisters - 1) / kRegisters);
  const int8_t* quants[T];
  const float* x_scales[T];
  const int32_t* x_sums[T];
  for (int t = 0; t < T; ++t) {
    const Q8Row<const std::byte> row(x.data + x.stride * static_cast<size_t>(first + t),
                                     matrix.cols);
    quants[t] = row.quants();
    x_scales[t] = row.scales();
    x_sums[t] = row.sums();
  }
  VF acc[T][R];
  for (int t = 0; t < T; ++t) {
    for (int r = 0; r < R; ++r) acc[t][r] = hn::Zero(kF);
  }
  for (size_t i = 0; i < blocks; ++i) {
    VI dots[T][R];
    HWY_UNROLL(8)
    for (int t = 0; t < T; ++t) {
      for (int r = 0; r < R; ++r) dots[t][r] = quad_dot_start(x_sums[t][i]);
    }
    HWY_UNROLL(8)
    for (int quad = 0; quad < kQ8Cols / 4; ++quad) {
      const size_t at = i * Q8Group::kBlockBytes + quad * kBlockRows * 4;
      Quads v[R];
      for (int r = 0; r < R; ++r) {
        v[r] = load_quads(weights[r] + at);
        if (first == 0) __builtin_prefetch(weights[r] + at + ahead, 0, 2);
      }
      HWY_UNROLL(8)
      for (int t = 0; t < T; ++t) {
        const FourQuants four = broadcast_four(quants[t] + i * kQ8Cols + quad * 4);
        HWY_UNROLL(2)
        for (int r = 0; r < R; ++r) dots[t][r] = quad_dot(dots[t][r], v[r], four);
      }
    }
    HWY_UNROLL(2)
    for (int r = 0; r < R; ++r) {
      const VF scale = load(scales[r] + i * kBlockRows);
      HWY_UNROLL(8)
      for (int t = 0; t < T; ++t) {
        const VF both = hn::Mul(scale, hn::Set(kF, x_scales[t][i]));
        acc[t][r] = hn::MulAdd(hn::ConvertTo(kF, dots[t][r]), both, acc[t][r]);
      }
    }
  }
  for (int t = 0; t < T; ++t) {
    for (int r = 0; r < R; ++r) hn::Store(acc[t][r], kF, &out[t][r * kWidth]);
  }
}

using MultiplyQ8 = void (*)(const Operand&, int, const Matrix&, int, float (*)[kStripRows]);

template <int T>
constexpr std::array<MultiplyQ8, 2> q8_of_tokens() {
  std::array<MultiplyQ8, 2> of{};
  if constexpr (T <= kTileTokensQ8) {
    of[0] = multiply_q8<T, 1>;
    if constexpr (kTileRegistersQ8 >= 2) of[1] = multiply_q8<T, 2>;
  }
  return of;
}

void multiply_q8s(const Operand& x, int first, int tokens, int tile_tokens, const Matrix& matrix,
                  int reg, int registers, Strip& strip) {
  static constexpr std::array<MultiplyQ8, 2> kOfTokens[] = {
      q8_of_tokens<1>(), q8_of_tokens<2>(), q8_of_tokens<3>(), q8_of_tokens<4>(),
      q8_of_tokens<5>(), q8_of_tokens<6>(), q8_of_tokens<7>(), q8_of_tokens<8>()};
  for (int t = 0; t < tokens; t += tile_tokens) {
    const int count = std::min(tile_tokens, tokens - t);
    kOfTokens[count - 1][registers - 1](x, first + t, matrix, reg, strip.of + t);
  }
}

void multiply(const Operand& x, int first, int tokens, const Matrix& w, int reg, int registers,
              int end, Strip& strip) {
  const int tile = tile_shape(w.type, x.rows).tokens;
  switch (w.type) {
    case DType::kF32:
      return multiply_floats<float, float>(x, first, tokens, tile, w, reg, registers, end, strip);
    case DType::kF16:
      return multiply_floats<F16, float>(x, first, tokens, tile, w, reg, registers, end, strip);
    case DType::kBF16:
#if ORTHRUS_HAS_PAIR_DOT
      if (has_pair_dot()) {
        return multiply_floats<BF16, BF16>(x, first, tokens, tile, w, reg, registers, end, strip);
      }
#endif
      return multiply_floats<BF16, float>(x, first, tokens, tile, w, reg, registers, end, strip);
    default:
      return multiply_q8s(x, first, tokens, tile, w, reg, registers, strip);
  }
}

// Calls use(first token, tokens, first register, registers, end of registers, first row, rows) for
// each strip of the run's products.
template <typename Use>
HWY_INLINE void for_each_strip(int tokens, const Matrix& w, Run run, int tile_registers, Use use) {
  const int last_row = std::min(run.end * kBlockRows, w.rows);
  const int end = (last_row + kWidth - 1) / kWidth;
  for (int reg = run.begin * kRegisters; reg < end; reg += tile_registers) {
    const int registers = std::min(tile_registers, end - reg);
    const int row = reg * kWidth;
    const int rows = std::min(registers * kWidth, w.rows - row);
    for (int first = 0; first < tokens; first += kStripTokens) {
      use(first, std::min(kStripTokens, tokens - first), reg, registers, end, row, rows);
    }
  }
}

// Calls use(token, row, rows, values) for each strip's tokens.
template <typename Use>
HWY_INLINE void for_each_token(const Operand& x, const Matrix& w, Run run, Use use) {
  Strip strip;
  const int tile_registers = tile_shape(w.type, x.rows).registers;
  for_each_strip(x.rows, w, run, tile_registers,
                 [&](int first, int tokens, int reg, int registers, int end, int row, int rows)
                     HWY_ATTR {
                       multiply(x, first, tokens, w, reg, registers, end, strip);
                       for (int t = 0; t < tokens; ++t) use(first + t, row, rows, strip.of[t]);
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
  const int tile_registers =
      std::min(tile_shape(gate.type, out.rows).registers, tile_shape(up.type, out.rows).registers);
  for_each_strip(
      out.rows, gate, run, tile_registers,
      [&](int first, int tokens, int reg, int registers, int end, int row, int rows) HWY_ATTR {
        multiply(x_gate, first, tokens, gate, reg, registers, end, gates);
        multiply(x_up, first, tokens, up, reg, registers, end, ups);
        for (int t = 0; t < tokens; ++t) {
          for (int r = 0; r < registers * kWidth; r += kWidth) {
            const VF g = hn::Load(kF, &gates.of[t][r]);
            const VF silu = hn::Div(g, hn::Add(hn::Set(kF, 1.0f), exp(hn::Neg(g))));
            hn::Store(hn::Mul(silu, hn::Load(kF, &ups.of[t][r])), kF, &gates.of[t][r]);
          }
          std::memcpy(out.row(first + t) + row, gates.of[t], rows * sizeof(float));
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

// To the nearest, ties to even; as the bits of a float32.
HWY_INLINE auto rounded_to_bf16(VF x) {
  const hn::RebindToUnsigned<DF> u;
  const auto bits = hn::BitCast(u, x);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(u, 1u));
  const auto up = hn::Add(hn::Add(bits, hn::Set(u, 0x7fffu)), odd);
  return hn::And(up, hn::Set(u, 0xffff0000u));
}

void prepare_bf16(const float* x, int cols, std::byte* to) {
  const hn::RebindToSigned<DF> wide;
  const hn::Rebind<uint16_t, DF> narrow;
  const bool pairs = has_pair_dot();
  HWY_ALIGN float last[kWidth] = {};
  for (int k = 0; k < cols; k += kWidth) {
    const float* from = x + k;
    if (cols - k < kWidth) {
      std::memcpy(last, from, (cols - k) * sizeof(float));
      from = last;
    }
    const auto rounded = rounded_to_bf16(load(from));
    if (pairs) {
      const auto high = hn::BitCast(wide, hn::ShiftRight<16>(rounded));
      hn::StoreU(hn::DemoteTo(narrow, high), narrow, reinterpret_cast<uint16_t*>(to) + k);
    } else {
      hn::StoreU(hn::BitCast(kF, rounded), kF, reinterpret_cast<float*>(to) + k);
    }
  }
}

void prepare_q8(const float* x, int cols, std::byte* to) {
  const Q8Row<std::byte> row(to, cols);
  HWY_ALIGN float last[kQ8Cols] = {};
  for (size_t i = 0; i < row.blocks; ++i) {
    const float* from = x + i * kQ8Cols;
    if (const int left = cols - static_cast<int>(i) * kQ8Cols; left < kQ8Cols) {
      std::memcpy(last, from, left * sizeof(float));
      from = last;
    }
    VF largest = hn::Zero(kF);
    for (int k = 0; k < kQ8Cols; k += kWidth) largest = hn::Max(largest, hn::Abs(load(from + k)));
    const float scale = hn::GetLane(hn::MaxOfLanes(kF, largest)) / 127.0f;
    const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
    const hn::RebindToSigned<DF> wide;
    const hn::Rebind<int8_t, DF> narrow;
    auto sum = hn::Zero(wide);
    for (int k = 0; k < kQ8Cols; k += kWidth) {
      const auto q = hn::NearestInt(hn::Mul(load(from + k), hn::Set(kF, inverse)));
      sum = hn::Add(sum, q);
      hn::StoreU(hn::DemoteTo(narrow, q), narrow, row.quants() + i * kQ8Cols + k);
    }
    row.scales()[i] = scale;
    row.sums()[i] = hn::GetLane(hn::SumOfLanes(wide, sum));
  }
}

void prepare(const float* x, int cols, DType type, std::byte* to) {
  type == DType::kQ8_0 ? prepare_q8(x, cols, to) : prepare_bf16(x, cols, to);
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
