// What is done with matrix products over a run of weight rows (products.h makes them, cpu_ops.cpp
// shares the runs out).
#pragma once

#include "kernels/cpu/products.h"
#include "kernels/ops.h"

namespace orthrus::cpu {

// The weight rows of panels [begin, end).
struct Run {
  int begin = 0;
  int end = 0;
};

// Of the run's weight rows n:
// out[m][n] = W x[m] + bias[n].
void store_products(const Operand& x, const Product& product, Run run);
// out[m][n] += W x[m].
void add_products(const Operand& x, const Matrix& w, Run run, Rows out);
// out[m][n] = silu(gate x[m]) * (up x[m]); two operands, for two types of weights.
void swiglu_products(const Operand& x_gate, const Matrix& gate, const Operand& x_up,
                     const Matrix& up, Run run, Rows out);

// The largest logits of a row so far, and the sum of exponentials below it.
struct RunningTop {
  float top;
  int32_t id;   // -1: none yet
  float total;  // of exp(logit - top), where probabilities are wanted
  bool finite;
};
inline constexpr RunningTop kNoTop{0, -1, 0, true};

// Takes the run's logits in; runs come in ascending order.
void top_of_products(const Operand& x, const Matrix& w, Run run, bool probability,
                     RunningTop* tops);

}  // namespace orthrus::cpu
