// The public enumerations, in words.
#include <string>

#include "orthrus/engine.h"

namespace orthrus {

std::string_view describe(Status status) {
  switch (status) {
    case Status::kOk:
      return "no error";
    case Status::kOutOfMemory:
      return "out of memory for keys and values or activations";
    case Status::kNoThreads:
      return "the system gave no threads to compute with; ask for fewer (--threads)";
    case Status::kNonFiniteLogits:
      return "the model computed NaN or infinite logits";
    case Status::kDeviceLost:
      return "the device failed, and this engine cannot use it any more";
  }
  return "unknown";
}

std::string_view name_of(Mode mode) {
  switch (mode) {
    case Mode::kAr:
      return "ar";
    case Mode::kDual:
      return "dual";
    case Mode::kAuto:
      return "auto";
  }
  return "unknown";
}

std::string_view name_of(DraftSource source) {
  switch (source) {
    case DraftSource::kNone:
      return "none";
    case DraftSource::kBlock:
      return "block";
    case DraftSource::kTree:
      return "tree";
    case DraftSource::kLeftover:
      return "leftover";
    case DraftSource::kLookup:
      return "lookup";
  }
  return "unknown";
}

std::string name_of(const Device& device) {
  return device.is_cpu() ? "cpu" : "cuda:" + std::to_string(device.ordinal);
}

std::string_view name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kFailed:
      return "failed";
  }
  return "unknown";
}

}  // namespace orthrus
