#include "engine/job.h"

#include <algorithm>
#include <new>

#include "base/float_environment.h"
#include "engine/request.h"

namespace orthrus {

namespace {

DecodeParams params_of(const DeviceModel& model, const Request& request,
                       const Tokenizer* tokenizer) {
  DecodeParams params = check_request(model.config(), request, tokenizer);
  if (params.prefill_chunk == 0) params.prefill_chunk = model.prefill_chunk();
  return params;
}

// What a callback says; true without one.
template <typename Callback, typename... Arguments>
bool call_user(const Callback& callback, const Arguments&... arguments) {
  if (!callback) return true;
  const CallersFloatEnvironment callers;
  return callback(arguments...);
}

}  // namespace

Job::Job(const DeviceModel& model, const Tokenizer* tokenizer, PolicyMemory& memory,
         KvSequence& sequence, const Request& request)
    : request_(&request),
      params_(params_of(model, request, tokenizer)),
      memory_(chooses(model.config(), request) ? &memory : nullptr),
      learnt_(memory_ ? memory_->recall(params_.sampling.greedy()) : PolicyState()),
      decoder_(model.config(), sequence, request.prompt, make_policy(), params_),
      tokenizer_(tokenizer),
      stops_(request.options.stop) {
  if (tokenizer != nullptr) stream_.emplace(*tokenizer);
  GenerationStats& stats = result_.stats;
  stats.cached_tokens = sequence.length();
  // So that a job that memory failed can end.
  for (std::vector<int>* counts : {&stats.drafted, &stats.verified, &stats.leftover}) {
    counts->reserve(static_cast<size_t>(params_.block_size));
  }
}

Policy& Job::make_policy() {
  if (memory_ != nullptr) {
    policy_ = std::make_unique<AutoPolicy>(learnt_);
  } else {
    policy_ = std::make_unique<FixedPolicy>(params_.block_size);
  }
  return *policy_;
}

template <typename Use>
bool Job::succeeds(Use use) {
  Status status = Status::kOutOfMemory;
  try {
    status = use();
  } catch (const std::bad_alloc&) {
  }
  if (status != Status::kOk) fail(status);
  return status == Status::kOk;
}

std::optional<Span> Job::next() {
  Span span;
  const bool planned = succeeds([&] {
    span = decoder_.next();
    return Status::kOk;
  });
  return planned ? std::optional(span) : std::nullopt;
}

void Job::take(const HeadRows& rows, PassTime time) {
  const bool prefill = decoder_.prefilling();
  const bool taken = succeeds([&] {
    const auto start = Clock::now();
    const Status status = decoder_.take(rows);
    // The rejection rule looks at whole rows of logits here, which may take longer than the pass;
    // those who share the pass do it one after the other.
    time.seconds += std::chrono::duration<double>(Clock::now() - start).count() * time.sequences;
    decoder_.observe(time);
    return status;
  });
  if (!taken) return;
  if (prefill && !report_prefill()) return finish(FinishReason::kCancelled);
  if (!decoder_.emitted().empty()) absorb(decoder_.emitted());
}

bool Job::report_prefill() {
  prefilled_ = Clock::now();
  const int total = static_cast<int>(request_->prompt.size());
  const int done = decoder_.prefilling() ? decoder_.cached() : total;
  return call_user(request_->on_prefill, done, total);
}

void Job::take_cycle(const CycleResult& result, const CycleTimes& times, int sequences) {
  const bool taken = succeeds([&] {
    if (times.draft_rows > 0) {
      decoder_.observe({times.draft, times.draft_rows, sequences, /*draft=*/true});
    }
    decoder_.observe({times.verify, times.verify_rows, sequences});
    return decoder_.take_cycle(result);
  });
  if (taken) absorb(decoder_.emitted());
}

void Job::fail(Status status) {
  result_.status = status;
  finish(FinishReason::kFailed);
}

bool Job::is_end(int32_t token) const {
  const auto& ends = decoder_.params().stop_token_ids;
  return std::find(ends.begin(), ends.end(), token) != ends.end();
}

void Job::absorb(std::span<const int32_t> tokens) {
  std::string text;
  size_t kept = 0;
  if (!succeeds([&] {
        kept = append(tokens, text);
        return Status::kOk;
      })) {
    return;
  }
  const bool last = stops_.found() || decoder_.done();
  const Step step{tokens.first(kept), text, decoder_.drafted(), decoder_.accepted()};
  const bool go_on = call_user(request_->on_step, step);
  if (last) {
    const bool ended = stops_.found() || is_end(tokens[kept - 1]);
    finish(ended ? FinishReason::kStop : FinishReason::kLength);
  } else if (!go_on) {
    finish(FinishReason::kCancelled);
  }
}

// To the result; `text` is what became certain with them. Returns how many are kept: a stop string
// may end the text before the last of them.
size_t Job::append(std::span<const int32_t> tokens, std::string& text) {
  size_t kept = 0;
  while (kept < tokens.size() && !stops_.found()) {
    const int32_t token = tokens[kept++];
    result_.output_ids.push_back(token);
    text += text_of(token);
  }
  if (stream_ && (stops_.found() || decoder_.done())) {
    text += stops_.put(stream_->finish());
    text += stops_.finish();
  }
  result_.text += text;
  return kept;
}

// The text that `token` makes certain. A special token has none, and neither has the one that ends
// the sequence, whatever kind of token it is; stop strings may have their names in them.
std::string Job::text_of(int32_t token) {
  if (!stream_) return {};
  const bool last = is_end(token);
  if (!last && !tokenizer_->is_special(token)) return stops_.put(stream_->put(token));
  std::string text = last ? stops_.put(stream_->finish()) : std::string();
  text += stops_.put_hidden(tokenizer_->token_bytes(token));
  return text;
}

void Job::finish(FinishReason reason) {
  try {
    if (stream_) {  // what a cancelled or failed generation held back belongs to its ids
      result_.text += stops_.put(stream_->finish());
      result_.text += stops_.finish();
    }
  } catch (const std::bad_alloc&) {
    result_.status = Status::kOutOfMemory;
    reason = FinishReason::kFailed;
  }
  const auto seconds = [](Clock::duration d) { return std::chrono::duration<double>(d).count(); };
  const DecodeCounts& counts = decoder_.counts();
  GenerationStats& stats = result_.stats;
  stats.prefill_passes = counts.prefill_passes;
  stats.ar_passes = counts.ar_passes;
  stats.diffusion_passes = counts.diffusion_passes;
  stats.cycles = counts.cycles;
  stats.accepted = counts.accepted;
  stats.generated = static_cast<int>(result_.output_ids.size());
  stats.prefill_seconds = seconds(prefilled_ - started_);
  stats.decode_seconds = seconds(Clock::now() - prefilled_);
  stats.drafted = counts.drafted;
  stats.verified = counts.verified;
  stats.leftover = counts.leftover;
  stats.expected_accepted = counts.expected_accepted;
  if (memory_ != nullptr) memory_->remember(params_.sampling.greedy(), learnt_);
  result_.finish_reason = reason;
  done_ = true;
}

}  // namespace orthrus
