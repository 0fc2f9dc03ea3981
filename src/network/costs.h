// What a pass has to do, by the shape of the network.
#pragma once

#include "base/view.h"
#include "orthrus/config.h"

namespace orthrus {

// Floating-point operations of a pass of `rows` rows of one sequence behind `context` cached
// positions, for `head_rows` of which the LM head runs. A multiplication and its addition are two.
// In the AR view a row sees the context and the rows up to its own, in the diffusion view all.
double pass_flops(const ModelConfig& config, View view, int rows, int head_rows, int context);

}  // namespace orthrus
