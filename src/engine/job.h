// One request on its way: a decoder, and what becomes of the tokens it emits.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "backends/device_model.h"
#include "decode/decoder.h"
#include "engine/policy_memory.h"
#include "engine/stop_strings.h"
#include "orthrus/engine.h"

namespace orthrus {

class Job {
 public:
  // Checks the request (Error(kUsage)). All must outlive the job; `tokenizer` may be null.
  Job(const DeviceModel& model, const Tokenizer* tokenizer, PolicyMemory& memory,
      KvSequence& sequence, const Request& request);

  bool done() const { return done_; }
  // Nothing where memory is exhausted, which fails the job.
  std::optional<Span> next();
  // What the pass gave, and what it took. Throws what the request's callbacks throw.
  void take(const HeadRows& rows, PassTime time);
  void fail(Status status);

  // The same for whole cycles, where can_cycle(): see decode/decoder.h.
  bool can_cycle() const { return decoder_.can_cycle(); }
  bool will_cycle() const { return decoder_.will_cycle(); }
  CycleStart begin_cycles() { return decoder_.begin_cycles(); }
  int plan_cycle(int in_flight) { return decoder_.plan_cycle(in_flight); }
  void take_cycle(const CycleResult& result, const CycleTimes& times, int sequences);

  // After done().
  Generation result() && { return std::move(result_); }

 private:
  using Clock = std::chrono::steady_clock;

  Policy& make_policy();
  // Runs `use`, which gives a status; anything but kOk, or a failed allocation, fails the job.
  // False when it failed. Callbacks are called outside: what they throw is theirs.
  template <typename Use>
  bool succeeds(Use use);
  bool report_prefill();  // false when the callback ends the generation
  bool is_end(int32_t token) const;
  void absorb(std::span<const int32_t> tokens);
  size_t append(std::span<const int32_t> tokens, std::string& text);
  std::string text_of(int32_t token);
  void finish(FinishReason reason);

  const Request* request_;
  DecodeParams params_;
  PolicyMemory* memory_;  // where what was learnt goes; null for fixed policies
  PolicyState learnt_;
  std::unique_ptr<Policy> policy_;
  Decoder decoder_;
  const Tokenizer* tokenizer_;           // may be null
  std::optional<StreamDecoder> stream_;  // none without a tokenizer
  StopStrings stops_;
  Generation result_;
  bool done_ = false;
  Clock::time_point started_ = Clock::now();
  Clock::time_point prefilled_ = started_;
};

}  // namespace orthrus
