// The failure of a device, after which nothing can be computed on it.
#pragma once

#include <string>

#include "orthrus/error.h"

namespace orthrus {

// What a backend throws where its device fails, whatever it was asked to do: an Error(kSystem) that
// says how. While decoding it becomes Status::kDeviceLost, in Scheduler::step.
class DeviceLost : public Error {
 public:
  explicit DeviceLost(const std::string& message) : Error(ErrorKind::kSystem, message) {}
};

}  // namespace orthrus
