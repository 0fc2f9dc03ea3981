// Matrices into the subtiles of block formats that a device's products take.
#pragma once

#include <cstddef>

#include "kernels/cuda/block_layout.h"
#include "orthrus/dtype.h"

namespace orthrus::cuda {

// Those of blocks, the smallest first.
inline constexpr WeightForm kBlockForms[] = {WeightForm::kQ4, WeightForm::kQ5, WeightForm::kQ6,
                                             WeightForm::kQ8};

// Whether matrices of this format may be in this form, which has their integers.
bool holds(WeightForm form, DType type);

// A row of a matrix, as it lies in a file, as row `place` of 64 into a row group, whose subtiles
// were zero there: packed_bytes(form, 1, cols). Where the form holds the format, integers stay what
// they are, and scales and minimums become the nearest BF16. All else is rounded to 8 bits:
// integers up to 127 and the least BF16 scale that allows it. Only kQ8 can be rounded to.
void pack_row(const std::byte* row, DType type, int cols, WeightForm form, int place,
              std::byte* group);

}  // namespace orthrus::cuda
