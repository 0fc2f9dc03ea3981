// What a call of generate() has the scheduler do, until all of it is done.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/engine_impl.h"
#include "engine/transcript.h"

namespace orthrus {

// One request, checked and handed to the scheduler. Stays where it is.
class Call {
 public:
  // Throws Error(kUsage), and then nothing has been handed over. All must outlive it, and it must
  // outlive its task's end (Scheduler::abandon).
  Call(const Engine::Impl& engine, const Request& request);
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // Throws std::bad_alloc.
  void submit(Scheduler& scheduler, Mailbox& mailbox);
  // Takes what is new. Throws what the request's callbacks throw.
  void take_news(Scheduler& scheduler);
  void cancel(Scheduler& scheduler);
  bool ended() const { return ended_; }

  const std::shared_ptr<Task>& task() const { return task_; }
  Generation failed(Status status) &&;  // in place of submit()
  // After ended().
  Generation result() && { return std::move(transcript_).result(task_.get()); }

 private:
  TaskSpec spec_;
  Transcript transcript_;
  std::shared_ptr<Task> task_;
  bool ended_ = false;
};

// Runs these to their end.
std::vector<Generation> run_calls(const Engine::Impl& engine, std::span<const Request> requests);

}  // namespace orthrus
