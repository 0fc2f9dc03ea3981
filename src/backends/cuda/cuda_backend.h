// CUDA devices' row of the table of backends.
#pragma once

#include "backends/backend.h"

namespace orthrus::cuda {

extern const Backend kBackend;

}  // namespace orthrus::cuda
