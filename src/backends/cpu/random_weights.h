// Weights that are made up, for measuring speeds without a checkpoint.
#pragma once

#include <functional>
#include <vector>

#include "base/view.h"
#include "network/network_weights.h"

namespace orthrus {

// The same ones each time, uniform with a standard deviation of 0.02, norm weights of one and no
// bias. The matrices are packed, as the types by view say, in memory that `storage` gets. Throws
// std::bad_alloc. `progress(done, total)` is told of weights made.
NetworkWeights random_weights(const ModelConfig& config, const PerView<DType>& types,
                              const Ops& ops, std::vector<Buffer>& storage,
                              const std::function<void(size_t, size_t)>& progress);

}  // namespace orthrus
