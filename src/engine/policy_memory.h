// What the policy has learnt, from one request to the next.
#pragma once

#include <mutex>

#include "decode/auto_policy.h"

namespace orthrus {

// Of an engine, for requests of any number of threads. A request takes a copy and gives back what
// it has become; of requests that run side by side the last one's stays. Greedy and sampled
// decoding accept drafts at different rates, so each has its own.
class PolicyMemory {
 public:
  PolicyState recall(bool greedy) const {
    const std::lock_guard lock(mutex_);
    return states_[greedy];
  }
  void remember(bool greedy, const PolicyState& state) {
    const std::lock_guard lock(mutex_);
    states_[greedy] = state;
  }

 private:
  mutable std::mutex mutex_;
  PolicyState states_[2];
};

}  // namespace orthrus
