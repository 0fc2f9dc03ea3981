// How likely drafts are to be accepted, given how sure their rows are of them: in bins.
#pragma once

#include "base/host_device.h"

namespace orthrus {

// Upper ends of all bins but the last: finer where acceptance changes most.
struct ConfidenceBins {
  static constexpr int kCount = 14;
  float ends[kCount - 1] = {0.05f, 0.1f, 0.2f, 0.3f,  0.4f,  0.5f,  0.6f,
                            0.7f,  0.8f, 0.9f, 0.95f, 0.98f, 0.995f};

  ORTHRUS_HOST_DEVICE constexpr int of(float confidence) const {
    int bin = 0;
    for (const float end : ends) bin += confidence >= end ? 1 : 0;
    return bin;
  }
};

// P(accepted | the draft before it is), by bin: of what a row holds for the likeliest behind a
// token, and of the others that it has there.
struct AcceptanceTables {
  float likeliest[ConfidenceBins::kCount] = {};
  float others[ConfidenceBins::kCount] = {};
};

}  // namespace orthrus
