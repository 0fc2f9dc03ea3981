// Requests of all callers share the passes of a lane: who waits, who runs, and what each pass has.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "backends/device_model.h"
#include "cache/prefix_index.h"
#include "orthrus/async_engine.h"
#include "schedule/task.h"

namespace orthrus {

struct ScheduleLimits {
  size_t pages = 1;         // of the cache
  size_t cached_pages = 1;  // of those, that may hold what requests have left behind
  int batch = 1;            // requests that run at a time
};

// Every token is the same whoever runs beside it (docs/exactness.md); all that is decided here is
// when it comes.
//
// - First come, first served, among those of one priority. A request begins when there is room for
//   its prompt. Of those that begin alike one computes what they share; the others wait for it.
// - Each pass has the next span of every sequence that decodes, and beside them a chunk of prompts:
//   of the one with the least left to compute, in every second pass of the one that came first. So
//   a short prompt does not wait for all of a long one, which has half of the chunks at least.
// - A sequence that finds no room takes it from what the cache remembers, then from the request
//   that would go last, which forgets its keys and values, waits, and computes them again.
// - Where the device runs whole cycles, sequences join them when their prompt is done. One alone
//   leaves them for passes while its own text has better drafts than they make, and without heads
//   for a few passes more.
//
// There is no thread in it. Those who wait for news run passes, one of them at a time, on behalf of
// all: "it leads".
class Scheduler {
 public:
  // The model must outlive it. Throws as DeviceModel::start. `device_lost` is set when the device
  // fails, and then all tasks end with that status, also later ones.
  Scheduler(const DeviceModel& model, const ScheduleLimits& limits, std::atomic<bool>& device_lost);
  // Over a lane of one's own.
  Scheduler(const DeviceModel& model, std::unique_ptr<Lane> lane, const ScheduleLimits& limits,
            std::atomic<bool>& device_lost);
  // All tasks have ended.
  ~Scheduler() = default;

  // The rest is thread-safe.

  // The mailbox must outlive the task's end. Throws std::bad_alloc.
  std::shared_ptr<Task> submit(const TaskSpec& spec, Mailbox& mailbox);
  // It ends as soon as may be; its owner hears of it.
  void cancel(Task& task);
  // Ends these, and waits until they have: their mailbox may go.
  void abandon(std::span<const std::shared_ptr<Task>> tasks, Mailbox& mailbox) noexcept;

  // Waits until there is news, running passes if nobody else does.
  void wait(Mailbox& mailbox);
  void poke(Mailbox& mailbox);  // there is
  // And what it is. May be called again until it has ended.
  News collect(Task& task);

  EngineLoad load() const;

 private:
  using Lock = std::unique_lock<std::mutex>;
  using TaskPointer = std::shared_ptr<Task>;

  // All of the following is for the one who leads.
  void step();  // throws nothing that a backend or memory throws
  void drop_cancelled();
  void admit();
  TaskPointer next_to_admit();
  bool shares_prefill(Task& task);
  bool begin(Task& task);
  void adopt(Task& task, PrefixIndex::Match match);

  void run_pass();
  void gather();
  bool stays_in_cycles(Task& task);
  bool prefers_pass(Task& task) const;
  void gather_prompts(int budget);
  void add_span(const TaskPointer& task, int most_prompt_tokens);
  bool is_too_large_with(const Span& tree) const;
  bool make_room(Task& task, int rows);
  void run(std::span<Task* const> tasks, std::span<const Span> spans);
  void take(Task& task, const HeadRows& rows);

  void run_cycles();
  void join_cycles();
  bool start_cycle();
  void take_cycle(const CycleTimes& times);
  void leave_cycles(Task& task);
  void give_cycles_up();

  bool reserve(KvSequence& sequence, int count);
  bool reserve_branches(KvSequence& sequence, std::span<const Branch> branches);
  bool reserve_or_preempt(Task& task, int count);
  void preempt(Task& task);
  void publish(Task& task, bool prefilled);
  void end(Task& task, Status status);
  void end_all(Status status);
  void note_load();
  int decoding() const;

  const DeviceModel* model_;
  std::unique_ptr<Lane> lane_;
  ScheduleLimits limits_;
  std::atomic<bool>* device_lost_;
  PrefixIndex index_;
  PassTimes times_;
  PolicyState learnt_[2];  // by whether decoding is greedy

  std::vector<TaskPointer> running_;  // those that go first, first
  std::vector<Task*> members_;        // of the pass
  std::vector<Span> spans_;
  std::vector<TaskPointer> prompts_;  // that are being computed
  bool first_come_ = false;           // whose turn the next chunk of prompts is
  std::vector<CycleRequest> by_slot_;
  int passes_till_cycles_ = 0;  // those that cycles were given up for
  Task::Clock::time_point load_noted_{};

  std::atomic<uint64_t> next_id_ = 1;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool leading_ = false;
  std::vector<TaskPointer> waiting_;  // those that go first, first
  bool cancelled_ = false;            // some task was
  EngineLoad load_{};
};

}  // namespace orthrus
