// Numbers rounded to a block format.
#pragma once

#include "kernels/formats/format.h"

namespace orthrus {

// 32 columns to Q8_0, with the scale by which the largest of them is 127. All are finite and at
// most format_of(DType::kQ8_0).largest.
void round_to_q8_0(const float* from, BlockParts& to);

}  // namespace orthrus
