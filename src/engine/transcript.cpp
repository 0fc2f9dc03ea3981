#include "engine/transcript.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/float_environment.h"

namespace orthrus {
namespace {

// What a callback says; true without one.
template <typename Callback, typename... Arguments>
bool call_user(const Callback& callback, const Arguments&... arguments) {
  if (!callback) return true;
  const CallersFloatEnvironment callers;
  return callback(arguments...);
}

double seconds(Task::Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

Transcript::Transcript(const Request& request, const DecodeParams& params,
                       const Tokenizer* tokenizer)
    : request_(&request), params_(&params), tokenizer_(tokenizer), stops_(request.options.stop) {
  if (tokenizer != nullptr) stream_.emplace(*tokenizer);
  // So that what memory failed can end.
  GenerationStats& stats = result_.stats;
  const int most = std::max(params.block_size, params.tree_nodes);
  for (std::vector<int>* counts : {&stats.drafted, &stats.verified, &stats.leftover}) {
    counts->reserve(static_cast<size_t>(most));
  }
  if (params.lookup) stats.lookup.reserve(Lookup::kMostDrafts + 1);
}

bool Transcript::take(const News& news) {
  for (const int prefilled : news.prefilled) {
    if (done_) return false;
    const int total = static_cast<int>(request_->prompt.size());
    if (!call_user(request_->on_prefill, prefilled, total)) cancel();
  }
  size_t first = 0;
  for (const News::Emission& emission : news.emissions) {
    if (done_) return false;
    if (!emit(news, emission, first)) return false;
    first += static_cast<size_t>(emission.tokens);
  }
  if (done_ || !news.ended) return !done_;
  // The decoder ends with a token that emit() knows for the last; otherwise it was made to end.
  if (news.status == Status::kOk) {
    cancel();
  } else {
    fail(news.status);
  }
  return false;
}

bool Transcript::emit(const News& news, const News::Emission& emission, size_t first) {
  const auto tokens = std::span(news.tokens).subspan(first, static_cast<size_t>(emission.tokens));
  const size_t before = result_.output_ids.size();
  const bool last =
      is_end(tokens.back()) || before + tokens.size() == static_cast<size_t>(params_->max_tokens);
  std::string text;
  size_t kept = 0;
  std::span<const TokenLogprobs> logprobs;
  try {
    kept = append(tokens, last, text);
    if (params_->logprobs) {
      logprobs = std::span(news.logprobs).subspan(first, kept);
      result_.logprobs.insert(result_.logprobs.end(), logprobs.begin(), logprobs.end());
    }
  } catch (const std::bad_alloc&) {
    fail(Status::kOutOfMemory);
    return false;
  }
  const CycleRecord& cycle = emission.cycle;
  const int accepted = std::min(cycle.accepted, static_cast<int>(kept));
  const Step step{
      .tokens = tokens.first(kept),
      .text = text,
      .drafted = cycle.verified,
      .accepted = accepted,
      .logprobs = logprobs,
      .source = cycle.source,
      .made = cycle.made,
      .judged = std::min(cycle.judged, static_cast<int>(kept)),
      .ranks = std::span(emission.ranks)
                   .first(std::min(emission.ranks.size(), static_cast<size_t>(accepted))),
      .seconds = last_step_ ? seconds(emission.when - *last_step_) : 0};
  last_step_ = emission.when;
  const bool go_on = call_user(request_->on_step, step);
  if (last || stops_.found()) {
    const bool ended = stops_.found() || is_end(tokens[kept - 1]);
    finish(ended ? FinishReason::kStop : FinishReason::kLength);
  } else if (!go_on) {
    cancel();
  }
  return !done_;
}

void Transcript::fail(Status status) {
  result_.status = status;
  finish(FinishReason::kFailed);
}

bool Transcript::is_end(int32_t token) const {
  const auto& ends = params_->stop_token_ids;
  return std::find(ends.begin(), ends.end(), token) != ends.end();
}

// To the result; `text` is what became certain with them. Returns how many are kept: a stop string
// may end the text before the last of them.
size_t Transcript::append(std::span<const int32_t> tokens, bool last, std::string& text) {
  size_t kept = 0;
  while (kept < tokens.size() && !stops_.found()) {
    const int32_t token = tokens[kept++];
    result_.output_ids.push_back(token);
    text += text_of(token);
  }
  if (stream_ && (stops_.found() || last)) {
    text += stops_.put(stream_->finish());
    text += stops_.finish();
  }
  result_.text += text;
  return kept;
}

// The text that `token` makes certain. A special token has none, and neither has the one that ends
// the sequence, whatever kind of token it is; stop strings may have their names in them.
std::string Transcript::text_of(int32_t token) {
  if (!stream_) return {};
  const bool last = is_end(token);
  if (!last && !tokenizer_->is_special(token)) return stops_.put(stream_->put(token));
  std::string text = last ? stops_.put(stream_->finish()) : std::string();
  text += stops_.put_hidden(tokenizer_->token_bytes(token));
  return text;
}

void Transcript::finish(FinishReason reason) {
  try {
    if (stream_) {  // what a cancelled or failed generation held back belongs to its ids
      result_.text += stops_.put(stream_->finish());
      result_.text += stops_.finish();
    }
    result_.stop_string = stops_.which();
  } catch (const std::bad_alloc&) {
    result_.status = Status::kOutOfMemory;
    reason = FinishReason::kFailed;
  }
  finished_ = Clock::now();
  result_.finish_reason = reason;
  done_ = true;
}

Generation Transcript::result(Task* task) && {
  GenerationStats& stats = result_.stats;
  stats.generated = static_cast<int>(result_.output_ids.size());
  if (task == nullptr) return std::move(result_);
  const DecodeCounts& counts = task->counts();
  stats.prefill_passes = counts.prefill_passes;
  stats.cached_tokens = task->cached_tokens();
  stats.ar_passes = counts.ar_passes;
  stats.diffusion_passes = counts.diffusion_passes;
  stats.cycles = counts.cycles;
  stats.accepted = counts.accepted;
  stats.preemptions = task->preemptions();
  stats.plain_step_seconds = task->plain_step_seconds();
  stats.drafted = counts.drafted;
  stats.verified = counts.verified;
  stats.leftover = counts.leftover;
  stats.lookup = counts.lookup;
  stats.expected_accepted = counts.expected_accepted;
  const auto began = task->began().value_or(finished_);
  const auto prefilled = task->prefilled().value_or(finished_);
  stats.queue_seconds = seconds(began - task->submitted());
  stats.prefill_seconds = seconds(prefilled - began);
  stats.decode_seconds = seconds(std::max(finished_, prefilled) - prefilled);
  result_.prompt_logprobs = std::move(task->prompt_logprobs());
  return std::move(result_);
}

}  // namespace orthrus
