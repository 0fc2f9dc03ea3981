// Matrices into the subtiles of block formats that a device's products take.
#pragma once

#include <cstddef>
#include <optional>

#include "kernels/cuda/block_layout.h"
#include "orthrus/dtype.h"

namespace orthrus::cuda {

// The form that holds the integers and scales of this format as they are; none where there is none.
std::optional<WeightForm> form_of(DType type);

// A row of a matrix, as it lies in a file, as row `place` of 64 into a row group, whose subtiles
// were zero there: packed_bytes(form, 1, cols). What is not of this form is rounded to it: to Q8_0
// for kQ8, to integers and BF16 scales for kQ8Bf16; other forms can't be rounded to.
void pack_row(const std::byte* row, DType type, int cols, WeightForm form, int place,
              std::byte* group);

}  // namespace orthrus::cuda
