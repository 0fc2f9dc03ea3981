// Weights that are made up, for measuring speeds without a checkpoint.
#pragma once

#include <array>
#include <vector>

#include "model/weights.h"

namespace orthrus {

// The same ones each time, uniform with a standard deviation of 0.02, and norm weights of one. The
// matrices are packed, as the types by View say, in memory that `storage` gets. Throws
// std::bad_alloc.
Weights random_weights(const ModelConfig& config, const std::array<DType, kViews>& types,
                       const Ops& ops, std::vector<Buffer>& storage);

}  // namespace orthrus
