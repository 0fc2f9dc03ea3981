// Weights into the form that products take.
#pragma once

#include "kernels/ops.h"

namespace orthrus::cpu {

// The rows [16 b, 16 b + 16) of `from`, which is row-major, as `type` into their group in `to`
// (formats.h). Rounds to the nearest, ties to even.
void pack_group(const Matrix& from, int b, DType type, void* to);

}  // namespace orthrus::cpu
