// Passes: what each has of the sequences that run.
#include <algorithm>
#include <new>

#include "schedule/scheduler.h"

namespace orthrus {
namespace {

Status run_on(ForwardPass& pass, std::span<const Span> spans) try {
  return pass.run(spans);
} catch (const std::bad_alloc&) {  // a device may find out late, when it is to start
  return Status::kOutOfMemory;
}

}  // namespace

void Scheduler::run_pass() {
  gather();
  if (spans_.empty()) return;
  if (passes_till_cycles_ > 0) --passes_till_cycles_;
  run(members_, spans_);
}

// Those that go first come first: whoever must give way to them has no span yet.
void Scheduler::gather() {
  members_.clear();
  spans_.clear();
  bool beside = false;
  for (size_t i = 0; i < running_.size(); ++i) {
    const TaskPointer task = running_[i];
    if (task->decoder_.prefilling() || task->finished_) continue;
    beside = true;
    if (!stays_in_cycles(*task)) add_span(task, 0);
  }
  gather_prompts(beside ? model_->prefill_chunk_beside() : model_->prefill_chunk());
}

// In cycles, or about to join them. What is in flight lands before it leaves.
bool Scheduler::stays_in_cycles(Task& task) {
  if (lane_->cycles() == nullptr || passes_till_cycles_ > 0) return false;
  if (!task.takes_cycles_ || !task.decoder_.can_cycle()) return false;
  if (!prefers_pass(task) || task.decoder_.flies()) return true;
  leave_cycles(task);
  return false;
}

// Beside others it would make those wait.
bool Scheduler::prefers_pass(Task& task) const {
  task.prefers_pass_ = decoding() == 1 && task.decoder_.prefers_pass();
  return task.prefers_pass_;
}

// Prompts had room from the beginning, so nobody gives way here.
void Scheduler::gather_prompts(int budget) {
  prompts_.clear();
  for (const TaskPointer& task : running_) {
    if (task->decoder_.prefilling() && !task->finished_) prompts_.push_back(task);
  }
  if (prompts_.size() > 1) {
    const auto left = [](const Task& task) {
      return task.decoder_.prefill_end() - task.sequence_.length();
    };
    std::ranges::sort(prompts_, [&](const TaskPointer& a, const TaskPointer& b) {
      if (first_come_ || a->priority_ != b->priority_ || left(*a) == left(*b)) {
        return Task::goes_first(a, b);
      }
      return left(*a) < left(*b);
    });
    first_come_ = !first_come_;
  }
  for (size_t i = 0; i < prompts_.size() && budget > 0; ++i) {
    const size_t had = spans_.size();
    add_span(prompts_[i], budget);
    if (spans_.size() > had) budget -= static_cast<int>(spans_.back().tokens.size());
  }
  prompts_.clear();
}

void Scheduler::add_span(const TaskPointer& task, int most_prompt_tokens) try {
  Span span = task->decoder_.next(most_prompt_tokens);
  if (span.view == View::kAutoregressive && !make_room(*task, span.trunk_rows())) return;
  if (!span.branches.empty() &&
      (is_too_large_with(span) || !reserve_branches(task->sequence_, span.branches))) {
    span = task->decoder_.prune();
  }
  members_.push_back(task.get());
  spans_.push_back(span);
} catch (const std::bad_alloc&) {
  end(*task, Status::kOutOfMemory);
}

// What a pass works in grows with its rows, logits above all: with trees it has no more than with a
// chunk of a prompt.
bool Scheduler::is_too_large_with(const Span& tree) const {
  size_t rows = tree.tokens.size();
  for (const Span& span : spans_) rows += span.tokens.size();
  return rows > static_cast<size_t>(model_->prefill_chunk());
}

// Before anybody gives way the branches of this pass do.
bool Scheduler::make_room(Task& task, int rows) {
  for (size_t i = spans_.size(); !reserve(task.sequence_, rows) && i-- > 0;) {
    if (!spans_[i].branches.empty()) spans_[i] = members_[i]->decoder_.prune();
  }
  return reserve_or_preempt(task, rows);
}

void Scheduler::run(std::span<Task* const> tasks, std::span<const Span> spans) {
  ForwardPass& pass = lane_->pass();
  const Status status = run_on(pass, spans);
  if (status != Status::kOk && tasks.size() > 1) {
    // Together they need more memory than there is: each has what it would have alone.
    for (size_t i = 0; i < tasks.size(); ++i) run(tasks.subspan(i, 1), spans.subspan(i, 1));
    return;
  }
  if (status != Status::kOk && !spans[0].branches.empty()) {
    const Span trunk = tasks[0]->decoder_.prune();
    return run(tasks, std::span(&trunk, 1));
  }
  if (status != Status::kOk) return end(*tasks[0], status);
  PassTime time{.seconds = pass.seconds(), .rows = 0, .draft = true};
  for (const Span& span : spans) {
    time.rows += static_cast<int>(span.tokens.size());
    time.draft = time.draft && span.view == View::kDiffusion;
  }
  const int sequences = decoding();
  for (size_t i = 0; i < tasks.size(); ++i) {
    Task& task = *tasks[i];
    task.policy_->share_passes(sequences);
    const auto start = Task::Clock::now();
    take(task, pass.head_rows(i));
    // The rejection rule looks at whole rows of logits here. What log-probabilities take is not
    // drafting's.
    if (task.params().logprobs || task.params().prompt_logprobs) continue;
    time.seconds += std::chrono::duration<double>(Task::Clock::now() - start).count();
  }
  times_.add(time);
}

void Scheduler::take(Task& task, const HeadRows& rows) {
  const bool prefill = task.decoder_.prefilling();
  Status status = Status::kOutOfMemory;
  try {
    status = task.decoder_.take(rows);
  } catch (const std::bad_alloc&) {
  }
  if (status == Status::kOk) {
    publish(task, prefill);
  } else {
    end(task, status);
  }
}

}  // namespace orthrus
