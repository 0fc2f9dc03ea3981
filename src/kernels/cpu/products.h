// Matrix products by strips, and the table of what each number format does for them.
#pragma once

#include <cstddef>

#include "kernels/cpu/layouts.h"
#include "kernels/ops.h"

namespace orthrus::cpu {

// Rows of activations in the form that the weights want (layouts.h). `stride` is the bytes from a
// row to the next, or from a tile of kBlocks to the next.
struct Operand {
  const std::byte* data = nullptr;
  size_t stride = 0;
  int rows = 0;

  // Of kFloats and kBf16.
  const std::byte* row(int m) const { return data + stride * static_cast<size_t>(m); }
  // Of kBlocks: row m's first block. The next is tile_rows(rows) further on.
  const ActivationBlock* blocks(int m) const {
    const int of_tile = tile_rows(rows);
    return reinterpret_cast<const ActivationBlock*>(row(m / of_tile)) + m % of_tile;
  }
};

// A row of kBf16.
void round_to_bf16(const float* x, int cols, std::byte* to);
// A row of kBlocks, whose blocks lie `step` apart.
void round_to_blocks(const float* x, int cols, ActivationBlock* to, int step);

// A strip's products: as many tokens as share one visit of the weights, by a few panels' rows.
inline constexpr int kStripTokens = 48;
inline constexpr int kStripPanels = 4;
inline constexpr int kStripRows = kStripPanels * kPanelRows;
struct Strip {
  alignas(64) float of[kStripTokens][kStripRows];
};

// What a strip is of: tokens [first, first + tokens), at most kStripTokens, by the weight rows of
// panels [panel, panel + panels). `end` is where the thread's panels end.
struct StripPlace {
  int first, tokens;
  int panel, panels, end;
};

// Products with weights of one format, on one instruction set.
struct Products {
  // How many panels its strips should have, at most kStripPanels, for so many tokens in all.
  int (*panels)(int tokens);
  // The strip's products. Any number of panels up to that.
  void (*multiply)(const Operand& x, const Matrix& w, const StripPlace& place, Strip& strip);
};

// What the CPU does with weights of one format.
struct PackedFormat {
  OperandForm operand;
  size_t (*panel_bytes)(int cols);
  // The rows of panel p of `from`, which is row-major, into their place in `to`.
  void (*pack)(const Matrix& from, int p, void* to);
  // For the instruction set in use.
  const Products& (*products)();
};

const PackedFormat& packed_format(DType type);

inline int panels_of(const Matrix& w) {
  return ceil_div(w.rows, kPanelRows);
}

// For packed_format(): products of each format.
const Products& products_f32();
const Products& products_f16();
const Products& products_bf16();
const Products& products_q8_0();
const Products& products_q4_0();
const Products& products_q5_0();
const Products& products_q4_k();
const Products& products_q5_k();
const Products& products_q6_k();
const Products& products_iq4_nl();
const Products& products_iq4_xs();

}  // namespace orthrus::cpu
