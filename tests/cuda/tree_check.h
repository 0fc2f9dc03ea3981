// Draft trees in passes of a device.
#pragma once

#include <random>
#include <string>

#include "backends/device_model.h"

namespace orthrus {

// Passes over trees whose shapes a die chooses, several beside each other, beside plain spans and
// blocks, over borders of pages: each row's logits, or the token chosen there, are those of its
// path in one plain pass, and so is what follows once a path has become the sequence's.
// `few`: one small pass.
void check_trees(const DeviceModel& model, const std::string& name, bool few, unsigned seed);

}  // namespace orthrus
