// One request on its way: a decoder, its keys and values, and what the one who asked has not heard.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/kv_sequence.h"
#include "decode/auto_policy.h"
#include "decode/decoder.h"

namespace orthrus {

// Where somebody is told that there is news of his tasks. Guarded by the scheduler.
struct Mailbox {
  bool ready = false;
};

// What came of a task since it was last asked for.
struct News {
  struct Emission {
    int tokens;
    CycleRecord cycle;
    std::vector<int> ranks;
    std::chrono::steady_clock::time_point when;
  };
  std::vector<Emission> emissions;      // one for each pass that emitted tokens
  std::vector<int32_t> tokens;          // of all of them
  std::vector<TokenLogprobs> logprobs;  // of these, where asked for
  std::vector<int> prefilled;           // prompt tokens done, ascending, as passes did them
  bool ended = false;                   // nothing more will come
  Status status = Status::kOk;          // of how it ended
};

struct TaskSpec {
  std::span<const int32_t> prompt;
  DecodeParams params{};
  bool chooses = false;  // the learning policy says how much is drafted
  int priority = 0;      // what waits with a lower one begins earlier
  std::string salt{};    // shares the cache with tasks of the same one
};

// Made and run by the scheduler. What is public is for its owner: all but the name once it has
// heard that the task has ended.
class Task {
 public:
  using Clock = std::chrono::steady_clock;

  Task(const ModelConfig& config, KvPool& pool, const TaskSpec& spec, PolicyState& learnt,
       const PassTimes& times, uint64_t id, Mailbox& mailbox);

  const DecodeCounts& counts() const { return decoder_.counts(); }
  const DecodeParams& params() const { return decoder_.params(); }
  std::vector<TokenLogprobs>& prompt_logprobs() { return decoder_.prompt_logprobs(); }
  int cached_tokens() const { return cached_tokens_; }
  int preemptions() const { return preemptions_; }
  Clock::time_point submitted() const { return submitted_; }
  std::optional<Clock::time_point> began() const { return began_; }
  std::optional<Clock::time_point> prefilled() const { return prefilled_; }
  double plain_step_seconds() const { return plain_step_seconds_; }

  // Whether `a` goes first, and keeps its place where one of them must give way.
  static bool goes_first(const std::shared_ptr<Task>& a, const std::shared_ptr<Task>& b) {
    return a->priority_ != b->priority_ ? a->priority_ < b->priority_ : a->id_ < b->id_;
  }

 private:
  friend class Scheduler;

  bool in_cycles() const { return slot_ >= 0; }
  // Whose bits the cache may have already: all but a last token, whose logits are needed, or which
  // is what its next pass has.
  std::span<const int32_t> reusable() const;

  uint64_t id_;
  int priority_;
  std::string salt_;
  Mailbox* mailbox_;
  KvSequence sequence_;
  std::unique_ptr<Policy> policy_;
  Decoder decoder_;

  int slot_ = -1;              // of the whole cycles that it is in
  bool takes_cycles_ = true;   // the device can run its cycles
  bool prefers_pass_ = false;  // for its text's drafts, or behind them
  bool finished_ = false;      // its end has been told
  uint64_t waits_for_ = 0;     // the task that computes what it begins with, too
  int shared_ = 0;             // tokens that both begin with
  int cached_tokens_ = 0;
  int told_prefilled_ = 0;  // prompt tokens that the owner knows to be done
  int preemptions_ = 0;
  double plain_step_seconds_ = 0;
  Clock::time_point submitted_ = Clock::now();
  std::optional<Clock::time_point> began_{}, prefilled_{};

  // Guarded by the scheduler's lock.
  bool cancelled_ = false;
  News news_{};
};

}  // namespace orthrus
