#include "engine/scheduler.h"

#include <algorithm>
#include <exception>
#include <functional>
#include <new>
#include <optional>
#include <vector>

#include "backends/device_lost.h"

namespace orthrus {
namespace {

Status run(ForwardPass& pass, std::span<const Span> spans) try {
  return pass.run(spans);
} catch (const std::bad_alloc&) {  // a device may find out late, when it is to start
  return Status::kOutOfMemory;
}

void run_pass(ForwardPass& pass, std::span<Job* const> jobs, std::span<const Span> spans) {
  const Status status = run(pass, spans);
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

// The slots of jobs that decode in whole cycles, in their order; given back however that ends.
class InCycles {
 public:
  InCycles(CycleRunner& cycles, std::span<Job* const> jobs) : cycles_(&cycles) {
    if (static_cast<int>(jobs.size()) > cycles.slots()) return;
    starts_.reserve(jobs.size());
    for (Job* job : jobs) {
      const CycleStart start = job->begin_cycles();
      if (!cycles.takes(start)) return;
      if (start.sequence->reserve(start.most_tokens) != Status::kOk) return;
      starts_.push_back(start);
      if (cycles.join(static_cast<int>(starts_.size()) - 1, start) != Status::kOk) return;
    }
    begun_ = true;
  }
  ~InCycles() {
    for (size_t i = 0; i < starts_.size(); ++i) {
      cycles_->leave(static_cast<int>(i));
      starts_[i].sequence->crop(starts_[i].sequence->length());
    }
    try {
      cycles_->drain();
    } catch (const std::exception&) {  // whoever uses the device next hears of it
    }
  }
  InCycles(const InCycles&) = delete;
  InCycles& operator=(const InCycles&) = delete;
  bool begun() const { return begun_; }

 private:
  CycleRunner* cycles_;
  std::vector<CycleStart> starts_;
  bool begun_ = false;
};

// Runs whole cycles until all jobs are done: while the host takes what one gave, the next one runs.
// False where there is no room for that: the jobs go on from where they are.
bool run_cycles(CycleRunner& cycles, std::span<Job* const> jobs) {
  const InCycles in_cycles(cycles, jobs);
  if (!in_cycles.begun()) return false;
  std::vector<CycleRequest> by_slot(static_cast<size_t>(cycles.slots()));
  bool room = true;
  const auto start_next = [&] {
    bool any = false;
    try {
      for (size_t i = 0; i < jobs.size(); ++i) {
        by_slot[i].drafts = jobs[i]->done() ? -1 : jobs[i]->plan_cycle(cycles.in_flight());
        any = any || by_slot[i].drafts >= 0;
      }
    } catch (const std::bad_alloc&) {
      return room = false;
    }
    if (any) room = cycles.start(by_slot) == Status::kOk;
    return any && room;
  };
  const auto done = [](const Job* job) { return job->done(); };
  do {
    while (room && cycles.in_flight() < CycleRunner::kMostInFlight && start_next()) {
    }
    if (cycles.in_flight() == 0) break;
    const CycleTimes times = cycles.finish();
    const auto active =
        static_cast<int>(std::count_if(jobs.begin(), jobs.end(), std::not_fn(done)));
    for (size_t i = 0; i < jobs.size(); ++i) {
      const CycleResult* const result = cycles.result(static_cast<int>(i));
      if (!jobs[i]->done() && result != nullptr) jobs[i]->take_cycle(*result, times, active);
    }
  } while (!std::all_of(jobs.begin(), jobs.end(), done));
  return std::all_of(jobs.begin(), jobs.end(), done);
}

// Of the jobs, those that share the next pass, and their spans. Where whole cycles can follow, jobs
// between cycles wait for those within one, which would otherwise stay out of step; false where all
// are between cycles. A job that fails here is none of the next.
bool next_to_run(std::span<Job* const> active, bool whole_cycles, std::vector<Job*>& next,
                 std::vector<Span>& spans) {
  const auto will_cycle = [](const Job* job) { return job->will_cycle(); };
  const bool waiting = whole_cycles && std::all_of(active.begin(), active.end(), will_cycle);
  next.clear();
  spans.clear();
  bool any = false;
  for (Job* job : active) {
    if (waiting && job->can_cycle()) continue;
    any = true;
    if (const std::optional<Span> span = job->next()) {
      next.push_back(job);
      spans.push_back(*span);
    }
  }
  return any;
}

}  // namespace

Status run_jobs(Lane& lane, std::span<Job* const> jobs) try {
  CycleRunner* cycles = lane.cycles();
  std::vector<Job*> active(jobs.begin(), jobs.end()), next;
  std::vector<Span> spans;
  next.reserve(active.size());
  spans.reserve(active.size());
  while (!active.empty()) {
    if (next_to_run(active, cycles != nullptr, next, spans)) {
      if (!next.empty()) run_pass(lane.pass(), next, spans);
    } else if (!run_cycles(*cycles, active)) {
      cycles = nullptr;
    }
    std::erase_if(active, [](const Job* job) { return job->done(); });
  }
  return Status::kOk;
} catch (const DeviceLost&) {
  for (Job* job : jobs) {
    if (!job->done()) job->fail(Status::kDeviceLost);
  }
  return Status::kDeviceLost;
}

}  // namespace orthrus
