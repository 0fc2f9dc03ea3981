// What the device has that kernels make use of.
#pragma once

namespace orthrus::cuda {

// Tensor cores that multiply from shared memory (wgmma), clusters of blocks, and copies by tensor
// maps: an H100 or later, and kernels that were compiled for it. Otherwise there are plainer ones.
bool has_wgmma();

}  // namespace orthrus::cuda
