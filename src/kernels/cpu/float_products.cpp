// Products with weights that are numbers of their own: F32, F16, BF16.
//
// An output is one running sum over ascending columns, from zero; with BF16 weights over ascending
// pairs of columns, the second of a pair first. It stands in one lane of a register whose other
// lanes are outputs of neighbouring weight rows (layouts.h), so that nothing is ever summed across
// lanes. A tile computes several tokens and registers of rows at once only to load each value less
// often; where sums are set aside between chunks of columns they are set aside whole.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/float_products.cpp"
#include <hwy/foreach_target.h>
// The above must be first.
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "kernels/cpu/lanes-inl.h"
#include "kernels/cpu/pair_dot-inl.h"
#include "kernels/cpu/products.h"

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

// Tokens of a tile, when there are so many in all: as few tiles as can be, and those as even as can
// be.
int tile_tokens(int tokens) {
  return ceil_div(tokens, ceil_div(tokens, kTileTokens));
}

// Whole panels that are whole tiles.
int panels(int tokens) {
  return std::lcm(most_registers(tile_tokens(tokens)), kRegisters) / kRegisters;
}

// Columns whose weights and activations stay in L2 while the tokens of a strip pass.
constexpr int kChunk = 1024;

// A register's weights in one of two neighbouring columns, which begin at `pair`.
template <int kColumn, typename Weight>
HWY_INLINE VF load_column(const Weight* pair) {
  return load(pair + kColumn * kPanelRows);
}
template <int kColumn>
HWY_INLINE VF load_column(const BF16* pair) {
  const hn::RebindToUnsigned<DF> u;
  const auto both = hn::BitCast(
      u, hn::LoadU(hn::Repartition<uint16_t, DF>(), reinterpret_cast<const uint16_t*>(pair)));
  if constexpr (kColumn == 0) return hn::BitCast(kF, hn::ShiftLeft<16>(both));
  return hn::BitCast(kF, hn::And(both, hn::Set(u, 0xffff0000u)));
}

// Where register `reg` of the matrix's rows begins.
template <typename Weight>
const Weight* weights_of(const Matrix& w, int reg) {
  constexpr int kColumns = std::is_same_v<Weight, BF16> ? 2 : 1;  // side by side
  const size_t panel_bytes = panel_bytes_of_numbers(sizeof(Weight), w.cols);
  const auto* const panel =
      static_cast<const std::byte*>(w.data) + panel_bytes * static_cast<size_t>(reg / kRegisters);
  return reinterpret_cast<const Weight*>(panel) + kColumns * (reg % kRegisters * kWidth);
}

// Column k + kColumn's products, k even.
template <int kColumn, int T, int R, typename Weight>
HWY_INLINE void add_column(const float* x, size_t x_stride, const Weight* const* w, int k,
                           VF (&acc)[T][R]) {
  VF v[R];
  HWY_UNROLL(4)
  for (int r = 0; r < R; ++r) v[r] = load_column<kColumn>(w[r] + k * kPanelRows);
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
  for (int r = 0; r < R; ++r) v[r] = load_pairs(w[r] + k * kPanelRows);
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
// next[r] is brought into L2 on the way. Activations are floats, or BF16 where pair_dot() is in
// use; with BF16 weights `cols` is even.
template <int T, int R, typename Weight, typename Activation>
HWY_NOINLINE void add_products(const Activation* HWY_RESTRICT x, size_t x_stride,
                               const Weight* const* rows, const Weight* const* next, int cols,
                               bool begin, float* sums) {
  const Weight* w[R];
  const Weight* ahead[R];
  for (int r = 0; r < R; ++r) {
    w[r] = rows[r];
    ahead[r] = next[r];
  }
  VF acc[T][R];
  for (int t = 0; t < T; ++t) {
    for (int r = 0; r < R; ++r) {
      acc[t][r] = begin ? hn::Zero(kF) : hn::Load(kF, sums + t * kStripRows + r * kWidth);
    }
  }
  int k = 0;
  for (; k + 2 <= cols; k += 2) {
    constexpr int kLine = 64 / sizeof(Weight);
    HWY_UNROLL(4)
    for (int r = 0; r < R; ++r) {
      for (int i = 0; i < 2 * kPanelRows; i += kLine) {
        __builtin_prefetch(ahead[r] + k * kPanelRows + i, 0, 2);
      }
    }
    add_two_columns<T, R>(x, x_stride, w, k, acc);
  }
  if constexpr (!std::is_same_v<Weight, BF16>) {
    if (k < cols) add_column<0, T, R>(x, x_stride, w, k, acc);
  }
  for (int t = 0; t < T; ++t) {
    for (int r = 0; r < R; ++r) hn::Store(acc[t][r], kF, sums + t * kStripRows + r * kWidth);
  }
}

template <typename Weight, typename Activation>
using AddProducts = void (*)(const Activation*, size_t, const Weight* const*, const Weight* const*,
                             int, bool, float*);

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

// The strip's tokens by registers [reg, reg + registers) of rows, which have `lane` in the strip.
template <typename Weight, typename Activation>
void multiply_registers(const Operand& x, const Matrix& matrix, const StripPlace& place, int reg,
                        int registers, Strip& strip) {
  static constexpr std::array<AddProducts<Weight, Activation>, kTileRegisters> kProducts[] = {
      products_of_tokens<1, Weight, Activation>(), products_of_tokens<2, Weight, Activation>(),
      products_of_tokens<3, Weight, Activation>(), products_of_tokens<4, Weight, Activation>(),
      products_of_tokens<5, Weight, Activation>(), products_of_tokens<6, Weight, Activation>(),
      products_of_tokens<7, Weight, Activation>(), products_of_tokens<8, Weight, Activation>()};
  const int tile = tile_tokens(x.rows);
  const int lane = (reg - place.panel * kRegisters) * kWidth;
  // BF16 weights come in pairs of columns, and their activations are padded to pairs.
  const int padded = std::is_same_v<Weight, BF16> ? matrix.cols + matrix.cols % 2 : matrix.cols;
  for (int k = 0; k < matrix.cols; k += kChunk) {
    const int cols = std::min(kChunk, padded - k);
    const Weight* rows[kTileRegisters];
    const Weight* next[kTileRegisters];
    for (int r = 0; r < registers; ++r) {
      rows[r] = weights_of<Weight>(matrix, reg + r) + static_cast<size_t>(k) * kPanelRows;
      next[r] = rows[r];
      if (k + kChunk < matrix.cols) {
        next[r] += kChunk * kPanelRows;
      } else if (reg + registers + r < place.end * kRegisters) {
        next[r] = weights_of<Weight>(matrix, reg + registers + r);
      }
    }
    for (int t = 0; t < place.tokens; t += tile) {
      const int count = std::min(tile, place.tokens - t);
      const auto* from = reinterpret_cast<const Activation*>(x.row(place.first + t)) + k;
      // The first tile asks for the weights that follow, for all.
      kProducts[count - 1][registers - 1](from, x.stride / sizeof(Activation), rows,
                                          t == 0 ? next : rows, cols, k == 0, strip.of[t] + lane);
    }
  }
}

template <typename Weight, typename Activation>
void multiply_as(const Operand& x, const Matrix& w, const StripPlace& place, Strip& strip) {
  const int most = most_registers(tile_tokens(x.rows));
  const int end = (place.panel + place.panels) * kRegisters;
  for (int reg = place.panel * kRegisters; reg < end; reg += most) {
    multiply_registers<Weight, Activation>(x, w, place, reg, std::min(most, end - reg), strip);
  }
}

template <typename Weight>
void multiply(const Operand& x, const Matrix& w, const StripPlace& place, Strip& strip) {
#if ORTHRUS_HAS_PAIR_DOT
  if constexpr (std::is_same_v<Weight, BF16>) {
    if (uses_pair_dot()) return multiply_as<BF16, BF16>(x, w, place, strip);
  }
#endif
  multiply_as<Weight, float>(x, w, place, strip);
}

template <typename Weight>
const Products& products() {
  static constexpr Products kProducts{panels, multiply<Weight>};
  return kProducts;
}

const Products& of_f32() {
  return products<float>();
}
const Products& of_f16() {
  return products<F16>();
}
const Products& of_bf16() {
  return products<BF16>();
}

}  // namespace
}  // namespace orthrus::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace orthrus::cpu {

HWY_EXPORT(of_f32);
HWY_EXPORT(of_f16);
HWY_EXPORT(of_bf16);

const Products& products_f32() {
  return HWY_DYNAMIC_DISPATCH(of_f32)();
}
const Products& products_f16() {
  return HWY_DYNAMIC_DISPATCH(of_f16)();
}
const Products& products_bf16() {
  return HWY_DYNAMIC_DISPATCH(of_bf16)();
}

}  // namespace orthrus::cpu
#endif  // HWY_ONCE
