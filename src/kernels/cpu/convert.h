// Weights from one type to another.
#pragma once

#include "kernels/ops.h"

namespace orthrus::cpu {

// The rows [16 b, 16 b + 16) of `from`, which is not Q8_0, as `type` into their places in `to`
// (formats.h). Rounds to the nearest, ties to even.
void convert_block(const Matrix& from, int b, DType type, void* to);

}  // namespace orthrus::cpu
