#include "engine/scheduler.h"

#include <vector>

namespace orthrus {
namespace {

void run_pass(ForwardPass& pass, std::span<Job* const> jobs, std::span<const Span> spans) {
  const Status status = pass.run(spans);
  if (status == Status::kOk) {
    PassTime time{
        .seconds = pass.seconds(), .sequences = static_cast<int>(spans.size()), .draft = true};
    for (const Span& span : spans) {
      time.rows += static_cast<int>(span.tokens.size());
      time.draft = time.draft && span.view == View::kDiffusion;
    }
    for (size_t i = 0; i < jobs.size(); ++i) jobs[i]->take(pass.head_rows(i), time);
  } else if (jobs.size() == 1) {
    jobs[0]->fail(status);
  } else {
    // Together they need more memory than there is: each has what it would have alone.
    for (size_t i = 0; i < jobs.size(); ++i) {
      run_pass(pass, jobs.subspan(i, 1), spans.subspan(i, 1));
    }
  }
}

}  // namespace

void run_jobs(ForwardPass& pass, std::span<Job* const> jobs) {
  std::vector<Job*> active(jobs.begin(), jobs.end());
  std::vector<Span> spans;
  spans.reserve(active.size());
  while (!active.empty()) {
    spans.clear();
    for (Job* job : active) spans.push_back(job->next());
    run_pass(pass, active, spans);
    std::erase_if(active, [](const Job* job) { return job->done(); });
  }
}

}  // namespace orthrus
