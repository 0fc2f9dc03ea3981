// The processor's row of the table of backends.
#pragma once

#include "backends/backend.h"

namespace orthrus {

extern const Backend kCpuBackend;

}  // namespace orthrus
