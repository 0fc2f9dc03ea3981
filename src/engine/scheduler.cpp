#include "engine/scheduler.h"

#include <vector>

namespace orthrus {

void run_jobs(ForwardPass& pass, std::span<Job* const> jobs) {
  std::vector<Job*> active(jobs.begin(), jobs.end());
  std::vector<Span> spans;
  while (!active.empty()) {
    spans.clear();
    for (Job* job : active) spans.push_back(job->next());
    const Status status = pass.run(spans);
    for (size_t i = 0; i < active.size(); ++i) {
      if (status == Status::kOk) {
        active[i]->take(pass.logits(i));
      } else {
        active[i]->fail(status);
      }
    }
    std::erase_if(active, [](const Job* job) { return job->done(); });
  }
}

}  // namespace orthrus
