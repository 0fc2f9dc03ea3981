// Who waits, who runs, and whose pages they are. What runs is in passes.cpp and cycles.cpp.
#include "schedule/scheduler.h"

#include <algorithm>
#include <new>
#include <utility>

#include "backends/device_lost.h"

namespace orthrus {
Scheduler::Scheduler(const DeviceModel& model, const ScheduleLimits& limits,
                     std::atomic<bool>& device_lost)
    : Scheduler(model, model.start(limits.pages), limits, device_lost) {}

Scheduler::Scheduler(const DeviceModel& model, std::unique_ptr<Lane> lane,
                     const ScheduleLimits& limits, std::atomic<bool>& device_lost)
    : model_(&model),
      lane_(std::move(lane)),
      limits_(limits),
      device_lost_(&device_lost),
      index_(limits.cached_pages) {
  // So that what begins can run, and end.
  const auto batch = static_cast<size_t>(limits.batch);
  running_.reserve(batch);
  members_.reserve(batch);
  spans_.reserve(batch);
  prompts_.reserve(batch);
  if (lane_->cycles() != nullptr) by_slot_.resize(static_cast<size_t>(lane_->cycles()->slots()));
  load_.batch = limits.batch;
  load_.cache_pages = static_cast<int64_t>(limits.pages);
}

std::shared_ptr<Task> Scheduler::submit(const TaskSpec& spec, Mailbox& mailbox) {
  PolicyState& learnt = learnt_[spec.params.sampling.greedy()];
  auto task = std::make_shared<Task>(model_->config(), lane_->pool(), spec, learnt, times_,
                                     next_id_++, mailbox);
  const Lock lock(mutex_);
  const auto place = std::ranges::upper_bound(waiting_, task, Task::goes_first);
  waiting_.insert(place, task);
  load_.waiting = static_cast<int>(waiting_.size());
  return task;
}

void Scheduler::cancel(Task& task) {
  const Lock lock(mutex_);
  task.cancelled_ = cancelled_ = true;
}

void Scheduler::poke(Mailbox& mailbox) {
  {
    const Lock lock(mutex_);
    mailbox.ready = true;
  }
  changed_.notify_all();
}

void Scheduler::wait(Mailbox& mailbox) {
  Lock lock(mutex_);
  while (!mailbox.ready) {
    if (leading_) {
      changed_.wait(lock);
      continue;
    }
    leading_ = true;
    lock.unlock();
    step();
    lock.lock();
    leading_ = false;
    changed_.notify_all();
  }
  mailbox.ready = false;
}

News Scheduler::collect(Task& task) {
  const Lock lock(mutex_);
  News news = std::move(task.news_);
  task.news_ = {};
  task.news_.ended = news.ended;
  task.news_.status = news.status;
  return news;
}

void Scheduler::abandon(std::span<const std::shared_ptr<Task>> tasks, Mailbox& mailbox) noexcept {
  for (const TaskPointer& task : tasks) cancel(*task);
  const auto ended = [&] {
    const Lock lock(mutex_);
    return std::ranges::all_of(tasks, [](const auto& task) { return task->news_.ended; });
  };
  while (!ended()) wait(mailbox);
}

EngineLoad Scheduler::load() const {
  const Lock lock(mutex_);
  return load_;
}

void Scheduler::step() {
  try {
    drop_cancelled();
    if (*device_lost_) {
      end_all(Status::kDeviceLost);
    } else {
      admit();
      run_pass();
      run_cycles();
    }
  } catch (const DeviceLost&) {
    *device_lost_ = true;
    end_all(Status::kDeviceLost);
  } catch (const std::bad_alloc&) {  // not for one of them
    end_all(Status::kOutOfMemory);
  }
  std::erase_if(running_, [](const auto& task) { return task->finished_; });
  if (running_.empty()) passes_till_cycles_ = 0;
  note_load();
}

void Scheduler::drop_cancelled() {
  Lock lock(mutex_);
  if (!std::exchange(cancelled_, false)) return;
  for (std::vector<TaskPointer>* tasks : {&running_, &waiting_}) {
    const auto cancelled = [](const auto& task) { return task->cancelled_; };
    for (;;) {
      const auto found = std::ranges::find_if(*tasks, cancelled);
      if (found == tasks->end()) break;
      const TaskPointer task = *found;
      tasks->erase(found);
      lock.unlock();
      end(*task, Status::kOk);
      lock.lock();
    }
  }
}

void Scheduler::admit() {
  while (running_.size() < static_cast<size_t>(limits_.batch)) {
    const TaskPointer task = next_to_admit();
    if (task == nullptr) return;
    if (!begin(*task)) {
      // With nobody else to make room there is none.
      if (!running_.empty()) return;
      {
        const Lock lock(mutex_);
        std::erase(waiting_, task);
      }
      end(*task, Status::kOutOfMemory);
      continue;
    }
    const Lock lock(mutex_);
    std::erase(waiting_, task);
    const auto place = std::ranges::upper_bound(running_, task, Task::goes_first);
    running_.insert(place, task);
  }
}

// The first one that does not wait for another's prefill.
Scheduler::TaskPointer Scheduler::next_to_admit() {
  Lock lock(mutex_);
  for (size_t i = 0; i < waiting_.size(); ++i) {
    const TaskPointer task = waiting_[i];
    lock.unlock();
    const bool waits = shares_prefill(*task);
    lock.lock();
    if (!waits) return task;
  }
  return nullptr;
}

// Whether one that runs is computing what this one's prompt begins with, and a page of it at least.
// Its whole pages are known as it goes.
bool Scheduler::shares_prefill(Task& task) {
  const auto known = [](const Task& other) {
    return other.sequence_.length() / kPageSize * kPageSize;
  };
  if (task.waits_for_ != 0) {
    const auto other = std::ranges::find_if(
        running_, [&](const auto& other) { return other->id_ == task.waits_for_; });
    if (other != running_.end() && (*other)->decoder_.prefilling() &&
        task.shared_ > known(**other)) {
      return true;
    }
    task.waits_for_ = 0;
  }
  const auto own = task.reusable();
  for (const TaskPointer& running : running_) {
    const Task& other = *running;
    if (!other.decoder_.prefilling() || other.salt_ != task.salt_) continue;
    if (other.priority_ > task.priority_) continue;  // what is urgent waits for nothing
    const auto theirs =
        other.decoder_.tokens().first(static_cast<size_t>(other.decoder_.prefill_end()));
    task.shared_ = static_cast<int>(std::ranges::mismatch(own, theirs).in1 - own.begin());
    if (task.shared_ < known(other) + kPageSize) continue;
    task.waits_for_ = other.id_;
    return true;
  }
  return false;
}

// With what the cache knows of it, and room for the rest of its prompt and a token; false, and
// nothing has changed, where there is too little.
bool Scheduler::begin(Task& task) try {
  PrefixIndex::Match match = index_.find(task.salt_, task.reusable());
  KvSequence& sequence = task.sequence_;
  const int positions = task.decoder_.prefill_end() + 1;
  // Those that run get a page each before they would have to make room again.
  const size_t wanted = sequence.pages_missing(positions) - match.full.size() + running_.size();
  size_t room = lane_->pool().available();
  if (room < wanted) room += index_.evictable();
  if (room < wanted && !running_.empty()) return false;
  adopt(task, std::move(match));
  if (!reserve(sequence, positions - sequence.length())) {
    sequence.clear();
    return false;
  }
  if (!task.began_) {
    task.cached_tokens_ = sequence.length();
    const Lock lock(mutex_);
    load_.prefix_queries += task.decoder_.tokens().size();
    load_.prefix_hits += static_cast<uint64_t>(sequence.length());
    task.began_ = Task::Clock::now();
  }
  return true;
} catch (const std::bad_alloc&) {
  task.sequence_.clear();
  return false;
}

// A page that it shares a part of is copied; where there is no room for a copy, that part is
// computed again.
void Scheduler::adopt(Task& task, PrefixIndex::Match match) {
  int length = match.length();
  std::vector<KvPage> pages = std::move(match.full);
  if (match.partial) {
    KvPage page = lane_->pool().acquire();
    if (!page && index_.evict(1) > 0) page = lane_->pool().acquire();
    if (page) {
      lane_->copy_page(match.partial.data(), page.data());
      pages.push_back(std::move(page));
    } else {
      length -= match.partial_length;
    }
  }
  task.sequence_.adopt(std::move(pages), length);
}

bool Scheduler::reserve(KvSequence& sequence, int count) {
  while (sequence.reserve(count) != Status::kOk) {
    const size_t missing = sequence.pages_missing(count), free = lane_->pool().available();
    if (index_.evict(missing > free ? missing - free : 1) == 0) return false;
  }
  return true;
}

// Nobody gives way for them. What is remembered does for a few only: they are gone after the pass,
// and what they are good for is less sure than a prefix that need not be computed again.
bool Scheduler::reserve_branches(KvSequence& sequence, std::span<const Branch> branches) {
  constexpr size_t kShare = 8;  // of the pages one in so many
  const size_t wanted = KvBranches::pages_wanted(sequence.length(), branches);
  const size_t free = lane_->pool().available();
  if (wanted > free) {
    size_t of_pass = wanted;
    for (const Span& span : spans_) {
      of_pass += KvBranches::pages_wanted(span.sequence->length(), span.branches);
    }
    if (of_pass > limits_.pages / kShare) return false;
    index_.evict(wanted - free);
  }
  return sequence.reserve_branches(branches) == Status::kOk;
}

// False where it does not run any more. Only those that go after it give way for it.
bool Scheduler::reserve_or_preempt(Task& task, int count) {
  while (!reserve(task.sequence_, count)) {
    const auto others = std::ranges::count_if(
        running_, [&](const auto& t) { return !t->finished_ && t.get() != &task; });
    if (others == 0) {
      end(task, Status::kOutOfMemory);
      return false;
    }
    const auto last = std::ranges::find_if(running_.rbegin(), running_.rend(),
                                           [](const auto& t) { return !t->finished_; });
    const bool itself = last->get() == &task;
    preempt(**last);
    if (itself) return false;
  }
  return true;
}

void Scheduler::preempt(Task& task) {
  leave_cycles(task);
  index_.insert(task.salt_,
                task.decoder_.tokens().first(static_cast<size_t>(task.sequence_.length())),
                task.sequence_);
  task.sequence_.clear();
  task.decoder_.start_again();
  ++task.preemptions_;
  const auto found =
      std::ranges::find_if(running_, [&](const auto& t) { return t.get() == &task; });
  const TaskPointer own = *found;
  running_.erase(found);
  try {
    const Lock lock(mutex_);
    const auto place = std::ranges::upper_bound(waiting_, own, Task::goes_first);
    waiting_.insert(place, own);
    ++load_.preemptions;
  } catch (const std::bad_alloc&) {
    end(task, Status::kOutOfMemory);
  }
}

// What the pass or the cycle gave, to its owner; and where it is done, its end.
void Scheduler::publish(Task& task, bool prefill) {
  const Decoder& decoder = task.decoder_;
  const int done = task.sequence_.length();
  // What is computed again was told before.
  const bool further = prefill && !task.prefilled_ && done > task.told_prefilled_;
  if (prefill) {
    if (!decoder.prefilling() && !task.prefilled_) task.prefilled_ = Task::Clock::now();
    // Others that begin alike may wait for it. Of the page that it is at they would have a copy.
    const int known = decoder.prefilling() ? done / kPageSize * kPageSize : done;
    index_.insert(task.salt_, decoder.tokens().first(static_cast<size_t>(known)), task.sequence_);
  }
  try {
    const Lock lock(mutex_);
    News& news = task.news_;
    if (further) {
      news.prefilled.push_back(done);
      task.told_prefilled_ = done;
    }
    const auto emitted = decoder.emitted();
    if (!emitted.empty()) {
      news.tokens.insert(news.tokens.end(), emitted.begin(), emitted.end());
      news.logprobs.insert(news.logprobs.end(), decoder.logprobs().begin(),
                           decoder.logprobs().end());
      const auto ranks = decoder.ranks();
      news.emissions.push_back({static_cast<int>(emitted.size()),
                                decoder.cycle(),
                                {ranks.begin(), ranks.end()},
                                Task::Clock::now()});
    }
    task.mailbox_->ready = true;
  } catch (const std::bad_alloc&) {
    return end(task, Status::kOutOfMemory);
  }
  if (decoder.done()) end(task, Status::kOk);
}

// Its pages are for others from now on, and what they hold is remembered.
void Scheduler::end(Task& task, Status status) {
  if (status != Status::kDeviceLost) leave_cycles(task);
  if (status == Status::kOk) {
    const auto known = task.decoder_.tokens().first(static_cast<size_t>(task.sequence_.length()));
    index_.insert(task.salt_, known, task.sequence_);
  }
  task.sequence_.clear();
  task.plain_step_seconds_ = times_.expected(1);
  task.finished_ = true;
  const Lock lock(mutex_);
  task.news_.ended = true;
  task.news_.status = status;
  task.mailbox_->ready = true;
}

void Scheduler::end_all(Status status) {
  for (const TaskPointer& task : running_) {
    if (!task->finished_) end(*task, status);
  }
  running_.clear();
  std::vector<TaskPointer> waiting;
  {
    const Lock lock(mutex_);
    waiting.swap(waiting_);
  }
  for (const TaskPointer& task : waiting) end(*task, status);
}

int Scheduler::decoding() const {
  return static_cast<int>(std::ranges::count_if(
      running_, [](const auto& task) { return !task->decoder_.prefilling(); }));
}

// Counting the cache's pages takes a while where there are many.
void Scheduler::note_load() {
  constexpr auto kOften = std::chrono::milliseconds(50);
  const auto now = Task::Clock::now();
  const bool count_pages = running_.empty() || now - load_noted_ > kOften;
  const size_t evictable = count_pages ? index_.evictable() : 0;
  const Lock lock(mutex_);
  load_.running = static_cast<int>(running_.size());
  load_.waiting = static_cast<int>(waiting_.size());
  if (!count_pages) return;
  load_noted_ = now;
  load_.cached_pages = static_cast<int64_t>(index_.pages());
  load_.pages_in_use = static_cast<int64_t>(lane_->pool().held() - evictable);
}

}  // namespace orthrus
