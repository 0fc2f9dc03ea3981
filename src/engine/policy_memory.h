// What the policy has learnt, from one request to the next.
#pragma once

#include <mutex>

#include "decode/auto_policy.h"

namespace orthrus {

// Of an engine, for requests of any number of threads. A request takes a copy and gives back what
// it has become; of requests that run side by side the last one's stays. Greedy and sampled
// decoding accept drafts at different rates, so each has its own. Nobody waits for it, since it
// only makes things faster: in a process that was forked while another thread held it, it stays
// locked.
class PolicyMemory {
 public:
  PolicyState recall(bool greedy) const {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    return lock ? states_[greedy] : PolicyState();
  }
  void remember(bool greedy, const PolicyState& state) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (lock) states_[greedy] = state;
  }

 private:
  mutable std::mutex mutex_;
  PolicyState states_[2];
};

}  // namespace orthrus
