// Products with weights of a block format by AMX, for 9 tokens and more: the bits are those of
// block_products-inl.h, since dot products of integers are exact, and what comes behind them is the
// same.
//
// A tile register holds rows of bytes. One product of tiles gives the dot products of a group of
// columns, 16 weight rows by all tokens of a tile: activations are its rows on one side, and on the
// other a panel's quads are what the instruction wants as they lie. Weights of less than eight bits
// are widened into memory first, and dot products come back through memory, both of which a load
// right behind would wait for. So a group takes five steps of the loop: it is widened in the first,
// multiplied in the second, stored in the fourth and added in the fifth.
#if defined(ORTHRUS_KERNELS_CPU_AMX_PRODUCTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ORTHRUS_KERNELS_CPU_AMX_PRODUCTS_INL_H_
#undef ORTHRUS_KERNELS_CPU_AMX_PRODUCTS_INL_H_
#else
#define ORTHRUS_KERNELS_CPU_AMX_PRODUCTS_INL_H_
#endif

#include "kernels/cpu/amx.h"
#include "kernels/cpu/block_weights-inl.h"

HWY_BEFORE_NAMESPACE();
namespace orthrus::cpu::HWY_NAMESPACE {
namespace {

#if HWY_TARGET == HWY_AVX3_DL

// Fewer are as fast with vpdpbusd.
inline constexpr int kFewestAmxTokens = 9;

HWY_INLINE bool takes_amx(int tokens) {
  return tokens >= kFewestAmxTokens && has_amx();
}

// As assembly: compilers take the intrinsics only in functions compiled for amx-int8. Tiles 0 to 3
// hold dot products, 4 and 5 activations, 6 and 7 weights.
inline constexpr int kTileStride = 64;  // bytes from a row of a tile to the next

template <int kTile>
HWY_INLINE void load_tile(const void* from) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2"
               :
               : "r"(from), "r"(size_t{kTileStride}), "i"(kTile)
               : "memory");
}
template <int kTile>
HWY_INLINE void store_tile(void* to) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)"
               :
               : "r"(to), "r"(size_t{kTileStride}), "i"(kTile)
               : "memory");
}
// Signed bytes of kX, by those of kW, which are signed or not.
template <bool kSigned, int kDots, int kX, int kW>
HWY_INLINE void multiply_tiles() {
  if constexpr (kSigned) {
    asm volatile("tilezero %%tmm%c0\n\ttdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0"
                 :
                 : "i"(kDots), "i"(kX), "i"(kW));
  } else {
    asm volatile("tilezero %%tmm%c0\n\ttdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0"
                 :
                 : "i"(kDots), "i"(kX), "i"(kW));
  }
}

// The shapes of tiles, for as long as it lives: outside of it the thread has no state of theirs to
// save.
template <BlockLayout L>
class TileShapes {
 public:
  explicit TileShapes(int tokens) {
    struct alignas(64) {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {};
      uint8_t rows[16] = {};
    } shapes;
    static_assert(sizeof(shapes) == 64);
    for (int tile = 0; tile < 8; ++tile) {
      const bool dots = tile < 4, weights = tile >= 6;
      shapes.row_bytes[tile] = dots || weights ? 4 * kPanelRows : L.group_columns;
      shapes.rows[tile] = static_cast<uint8_t>(weights ? L.group_columns / 4 : tokens);
    }
    asm volatile("ldtilecfg %0" : : "m"(shapes));
  }
  TileShapes(const TileShapes&) = delete;
  TileShapes& operator=(const TileShapes&) = delete;
  ~TileShapes() { asm volatile("tilerelease"); }
};

// A panel's products with T tokens, as multiply_panel() has them, where tiles have T rows.
template <BlockLayout L, int T>
class AmxPanel {
 public:
  AmxPanel(const ActivationBlock* first, size_t step, const std::byte* panel, size_t blocks,
           size_t ahead)
      : x_(first),
        step_(step),
        blocks_(blocks),
        ahead_(ahead),
        panel_(panel_place<L>(panel, blocks, 0)),
        widened_(panel_),
        added_(panel_) {
    static_assert(kRegisters == 1);
  }

  HWY_INLINE void run(float* sums) {
    VF acc[T];
    HWY_UNROLL(16)
    for (int t = 0; t < T; ++t) acc[t] = hn::Zero(kF);
    for (size_t i = 0; i < blocks_ + kAdd; i += 2) {
      take_step<0>(i, acc);
      take_step<1>(i + 1, acc);
    }
    HWY_UNROLL(16)
    for (int t = 0; t < T; ++t) hn::Store(acc[t], kF, sums + t * kStripRows);
  }

 private:
  // So many steps after a block is widened.
  static constexpr size_t kMultiply = 1, kStore = 3, kAdd = 4;
  static constexpr bool kWidens = L.planes != Planes::kBytes;
  static constexpr size_t kGroupBytes = static_cast<size_t>(L.group_columns) * kPanelRows;

  // Of block i, whose place among tiles is kOdd.
  template <int kOdd>
  HWY_INLINE void take_step(size_t i, VF (&acc)[T]) {
    if (i < blocks_) {
      if (i % L.scale_blocks() == 0) {
        prefetch<L.scale_bytes()>(widened_.scales, ahead_);
        next_scales<L>(widened_);
      }
      prefetch_block<L>(widened_, ahead_);
      if constexpr (kWidens) widen<0>(widened_.planes, bytes_[i % kBytesKept]);
      next_block<L>(widened_);
    }
    if (i >= kStore && i - kStore < blocks_) {
      store<1 - kOdd, 0>(dots_[(i - kStore) % kDotsKept]);
    }
    if (i >= kMultiply && i - kMultiply < blocks_) multiply<1 - kOdd, 0>(i - kMultiply);
    if (i >= kAdd && i - kAdd < blocks_) add(i - kAdd, acc);
  }

  template <int Q>
  HWY_INLINE static void widen(const uint8_t* planes, uint8_t* to) {
    VU8 w = weight_bytes<L, Q>(planes);
    if constexpr (L.offset != 0) w = hn::Sub(w, hn::Set(DU8(), static_cast<uint8_t>(L.offset)));
    hn::Store(w, DU8(), to + Q * kQuadBytes);
    if constexpr (Q + 1 < kQuads) widen<Q + 1>(planes, to);
  }

  template <int kOdd, int G>
  HWY_INLINE void multiply(size_t i) const {
    constexpr int kDots = kOdd * L.groups() + G, kX = 4 + kDots % 2, kW = 6 + kDots % 2;
    const uint8_t* const w =
        kWidens ? bytes_[i % kBytesKept] : panel_.planes + i * L.plane_bytes();
    load_tile<kW>(w + G * kGroupBytes);
    load_tile<kX>(x_[i * step_].quants + G * L.group_columns);
    multiply_tiles<kWidens, kDots, kX, kW>();
    if constexpr (G + 1 < L.groups()) multiply<kOdd, G + 1>(i);
  }

  template <int kOdd, int G>
  HWY_INLINE static void store(int32_t (*to)[T * kPanelRows]) {
    store_tile<kOdd * L.groups() + G>(to[G]);
    if constexpr (G + 1 < L.groups()) store<kOdd, G + 1>(to);
  }

  HWY_INLINE void add(size_t i, VF (&acc)[T]) {
    if (i % L.scale_blocks() == 0) shared_ = next_scales<L>(added_);
    add_groups<0>(dots_[i % kDotsKept], x_ + i * step_, acc);
    next_block<L>(added_);
  }
  template <int G>
  HWY_INLINE void add_groups(const int32_t (*dots)[T * kPanelRows], const ActivationBlock* x,
                             VF (&acc)[T]) const {
    const VF scale = group_scale<L>(added_, shared_, G);
    HWY_UNROLL(16)
    for (int t = 0; t < T; ++t) {
      VI dot = hn::Load(DI(), dots[G] + t * kPanelRows);
      if constexpr (!kWidens) dot = hn::Add(dot, start<L, G>(x[t]));
      add_group(dot, scale, x[t], acc[t]);
    }
    if constexpr (L.minimums) {
      const VF minimum = block_minimum<L>(added_, shared_);
      HWY_UNROLL(16)
      for (int t = 0; t < T; ++t) subtract_minimum(minimum, x[t], acc[t]);
    }
    if constexpr (G + 1 < L.groups()) add_groups<G + 1>(dots, x, acc);
  }

  static constexpr size_t kBytesKept = 2, kDotsKept = 2;  // blocks: powers of two

  const ActivationBlock* x_;
  size_t step_, blocks_, ahead_;
  PanelPlace panel_, widened_, added_;
  SharedScales shared_ = {};
  alignas(64) uint8_t bytes_[kBytesKept][kBlockColumns * kPanelRows];
  alignas(64) int32_t dots_[kDotsKept][L.groups()][T * kPanelRows];
};

template <BlockLayout L, int T>
HWY_NOINLINE void multiply_panel_amx(const ActivationBlock* first, size_t step,
                                     const std::byte* panel, size_t blocks, size_t ahead,
                                     float* sums) {
  AmxPanel<L, T>(first, step, panel, blocks, ahead).run(sums);
}

#else

HWY_INLINE bool takes_amx(int) {
  return false;
}

#endif

}  // namespace
}  // namespace orthrus::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
