// What runs a model, as a yardstick for its passes.
#pragma once

#include "orthrus/measure.h"

namespace orthrus {

class Yardstick {
 public:
  virtual ~Yardstick() = default;

  // Measures once what the machine gives; some milliseconds. Caches hold none of the model then.
  virtual MachineRates measure() = 0;
};

}  // namespace orthrus
