// Whole cycles, where the device runs them: sequences join when their prompt is done.
#include <algorithm>
#include <new>

#include "schedule/scheduler.h"

namespace orthrus {
namespace {

// Looking for room that there is not costs a few passes' time.
constexpr int kPassesWithoutCycles = 256;

}  // namespace

// The next cycle begins before the one that is waited for has landed.
void Scheduler::run_cycles() try {
  CycleRunner* const cycles = lane_->cycles();
  if (cycles == nullptr) return;
  join_cycles();
  while (cycles->in_flight() < CycleRunner::kMostInFlight && start_cycle()) {
  }
  if (cycles->in_flight() > 0) take_cycle(cycles->finish());
} catch (const std::bad_alloc&) {  // a device may find out late, when it is to start
  give_cycles_up();
}

void Scheduler::join_cycles() {
  if (passes_till_cycles_ > 0) return;
  CycleRunner& cycles = *lane_->cycles();
  int slot = 0;
  for (const TaskPointer& task : running_) {
    if (task->finished_ || task->in_cycles() || !task->takes_cycles_ || task->prefers_pass_ ||
        !task->decoder_.can_cycle()) {
      continue;
    }
    if (prefers_pass(*task)) continue;  // since its prompt ended nobody has asked
    const auto taken = [&] {
      return std::ranges::any_of(running_, [&](const auto& t) { return t->slot_ == slot; });
    };
    while (slot < cycles.slots() && taken()) ++slot;
    const CycleStart start = task->decoder_.begin_cycles();
    task->takes_cycles_ = slot < cycles.slots() && cycles.takes(start);
    if (!task->takes_cycles_) continue;
    if (cycles.join(slot, start) != Status::kOk) {  // no room for its context, perhaps
      task->takes_cycles_ = false;
      continue;
    }
    task->slot_ = slot;
  }
}

// False where nobody has a token left to ask for, or there is no room.
bool Scheduler::start_cycle() {
  std::ranges::fill(by_slot_, CycleRequest());
  bool any = false;
  for (size_t i = 0; i < running_.size(); ++i) {
    const TaskPointer task = running_[i];
    if (task->finished_ || !task->in_cycles() || task->prefers_pass_) continue;
    task->policy_->share_passes(decoding());
    const int slot = task->slot_;
    const CycleRequest request = task->decoder_.plan_cycle();
    if (request.drafts < 0) continue;
    if (!reserve_or_preempt(*task, task->decoder_.in_flight())) continue;
    by_slot_[static_cast<size_t>(slot)] = request;
    any = true;
  }
  if (!any) return false;
  if (lane_->cycles()->start(by_slot_) == Status::kOk) return true;
  give_cycles_up();
  return false;
}

void Scheduler::take_cycle(const CycleTimes& times) {
  if (times.draft_rows > 0) times_.add({times.draft, times.draft_rows, /*draft=*/true});
  if (times.verify_rows > 0) times_.add({times.verify, times.verify_rows, /*draft=*/false});
  for (size_t i = 0; i < running_.size(); ++i) {
    const TaskPointer task = running_[i];
    if (task->finished_ || !task->in_cycles()) continue;
    const CycleResult* const result = lane_->cycles()->result(task->slot_);
    if (result == nullptr) continue;
    Status status = Status::kOutOfMemory;
    try {
      status = task->decoder_.take_cycle(*result);
    } catch (const std::bad_alloc&) {
    }
    if (status == Status::kOk) {
      publish(*task, /*prefill=*/false);
    } else {
      end(*task, status);
    }
  }
}

// Its decoder knows nothing of what is in flight: that would be computed again.
void Scheduler::leave_cycles(Task& task) {
  if (!task.in_cycles()) return;
  lane_->cycles()->leave(task.slot_);
  task.slot_ = -1;
  task.decoder_.leave_cycles();
}

// They need memory that there is not: those who run go on pass by pass, for a while.
void Scheduler::give_cycles_up() {
  passes_till_cycles_ = kPassesWithoutCycles;
  for (const TaskPointer& task : running_) leave_cycles(*task);
  lane_->cycles()->drain();
}

}  // namespace orthrus
