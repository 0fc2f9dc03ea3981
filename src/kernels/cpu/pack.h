// Weights into the form that products take.
#pragma once

#include <cstddef>

#include "kernels/cpu/layouts.h"
#include "kernels/ops.h"

namespace orthrus::cpu {

// The rows [16 p, 16 p + 16) of `from`, which is row-major, into panel p of `to` (layouts.h).

// As numbers of their own. Rounds to the nearest, ties to even.
template <typename Number>
void pack_numbers(const Matrix& from, int p, void* to);
extern template void pack_numbers<float>(const Matrix&, int, void*);
extern template void pack_numbers<F16>(const Matrix&, int, void*);
extern template void pack_numbers<BF16>(const Matrix&, int, void*);

// The very integers of a block format, whose layout this is.
void pack_blocks(const Matrix& from, int p, const BlockLayout& layout, void* to);

// Numbers of any format rounded to Q8_0.
void pack_rounded(const Matrix& from, int p, void* to);

}  // namespace orthrus::cpu
