// Matrix products, one block of weight rows at a time (matmul.cpp says how, cpu_ops.cpp shares the
// blocks out).
#pragma once

#include <cstddef>

#include "kernels/cpu/formats.h"
#include "kernels/ops.h"

namespace orthrus::cpu {

// Rows of activations as weights of some type want them (formats.h), `stride` bytes apart.
struct Operand {
  const std::byte* data = nullptr;
  size_t stride = 0;
  int rows = 0;
};

void prepare_row(const float* x, int cols, DType type, std::byte* operand);

// Of block b, the weight rows [16 b, 16 b + 16):
// out[m][n] = W x[m].
void store_block(const Operand& x, const Matrix& w, int b, Rows out);
// out[m][n] += W x[m].
void add_block(const Operand& x, const Matrix& w, int b, Rows out);
// out[m][n] = silu(gate x[m]) * (up x[m]); two operands, for two types of weights.
void swiglu_block(const Operand& x_gate, const Matrix& gate, const Operand& x_up, const Matrix& up,
                  int b, Rows out);

// The largest logits of a row so far, and the sum of exponentials below it.
struct RunningTop {
  float top;
  int32_t id;   // -1: none yet
  float total;  // of exp(logit - top), where probabilities are wanted
  bool finite;
};
inline constexpr RunningTop kNoTop{0, -1, 0, true};

// Takes the block's logits in; blocks come in ascending order.
void top_block(const Operand& x, const Matrix& w, int b, bool probability, RunningTop* tops);

}  // namespace orthrus::cpu
