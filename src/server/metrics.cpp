#include "server/metrics.h"

#include <fmt/core.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <array>
#include <mutex>
#include <sstream>
#include <string_view>
#include <vector>

namespace orthrus::server {
namespace {

using prometheus::Counter;
using prometheus::Gauge;
using prometheus::Histogram;
using Buckets = Histogram::BucketBoundaries;

const Buckets kFirstToken = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75,
                             1,     2.5,   5,    7.5,  10,   20,   40,   80,  160,  640, 2560};
const Buckets kBetweenTokens = {0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5,
                                0.75, 1,     2.5,  5,     7.5, 10,   20,  40,  80};
const Buckets kRequest = {0.3, 0.5, 0.8, 1,  1.5, 2,   2.5, 5,   10,   15,  20,
                          30,  40,  50,  60, 120, 240, 480, 960, 1920, 7680};

// vLLM's words for FinishReason, in its order.
constexpr std::array<const char*, 4> kReasons = {"stop", "length", "abort", "error"};

// A count that is kept elsewhere.
void set(Counter& counter, double value) {
  counter.Increment(value - counter.Value());
}

}  // namespace

struct Metrics::Impl {
  explicit Impl(const std::string& model) : labels{{"engine", "0"}, {"model_name", model}} {}

  prometheus::Labels labels_and(const char* name, const std::string& value) const {
    prometheus::Labels all = labels;
    all[name] = value;
    return all;
  }

  // A counter's name ends in _total where it is exposed, as vLLM's client library has it.
  Counter& counter(const char* name, const char* help) {
    return prometheus::BuildCounter()
        .Name(fmt::format("vllm:{}_total", name))
        .Help(help)
        .Register(registry)
        .Add(labels);
  }
  Gauge& gauge(const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add(labels);
  }
  Histogram& histogram(const char* name, const char* help, const Buckets& buckets) {
    return prometheus::BuildHistogram().Name(name).Help(help).Labels(labels).Register(registry).Add(
        {}, buckets);
  }

  const prometheus::Labels labels;
  prometheus::Registry registry;
  std::mutex mutex;  // of text()

  Gauge& running = gauge("vllm:num_requests_running", "Requests that are being decoded.");
  Gauge& waiting = gauge("vllm:num_requests_waiting", "Requests that wait for their turn.");
  Gauge& cache_usage = gauge("vllm:kv_cache_usage_perc", "KV cache in use. 1 is all of it.");
  Counter& prefix_queries =
      counter("prefix_cache_queries", "Prompt tokens that were looked for in the cache.");
  Counter& prefix_hits = counter("prefix_cache_hits", "Of those, tokens that it had.");
  Counter& preemptions =
      counter("num_preemptions", "Requests that gave way and were computed again.");
  Counter& prompt_tokens = counter("prompt_tokens", "Tokens of prompts that were read.");
  Counter& generation_tokens = counter("generation_tokens", "Tokens that were generated.");
  Histogram& first_token = histogram("vllm:time_to_first_token_seconds",
                                     "Time to the first token in seconds.", kFirstToken);
  Histogram& between_tokens =
      histogram("vllm:inter_token_latency_seconds",
                "Time between the passes that gave a request tokens, in seconds.", kBetweenTokens);
  Histogram& request_time = histogram("vllm:e2e_request_latency_seconds",
                                      "Time from a request to its end in seconds.", kRequest);
  Histogram& queue_time =
      histogram("vllm:request_queue_time_seconds",
                "Time that requests waited for their turn in seconds.", kRequest);
  Counter& drafts = counter("spec_decode_num_drafts", "Blocks of drafts that were verified.");
  Counter& draft_tokens = counter("spec_decode_num_draft_tokens", "Drafts that were verified.");
  Counter& accepted = counter("spec_decode_num_accepted_tokens", "Drafts that were right.");
  std::vector<Counter*> accepted_at;  // [position in the block]
  std::array<Counter*, kReasons.size()> success{};
};

Metrics::Metrics(const std::string& model, int most_drafts) : impl_(std::make_unique<Impl>(model)) {
  auto& by_position = prometheus::BuildCounter()
                          .Name("vllm:spec_decode_num_accepted_tokens_per_pos_total")
                          .Help("Drafts that were right, by their place in the block.")
                          .Register(impl_->registry);
  for (int i = 0; i < most_drafts; ++i) {
    impl_->accepted_at.push_back(
        &by_position.Add(impl_->labels_and("position", std::to_string(i))));
  }
  auto& by_reason = prometheus::BuildCounter()
                        .Name("vllm:request_success_total")
                        .Help("Requests that have ended.")
                        .Register(impl_->registry);
  for (size_t i = 0; i < kReasons.size(); ++i) {
    impl_->success[i] = &by_reason.Add(impl_->labels_and("finished_reason", kReasons[i]));
  }
}

Metrics::~Metrics() = default;

void Metrics::add_prompt(int tokens) {
  impl_->prompt_tokens.Increment(tokens);
}

void Metrics::add_step(const Step& step) {
  impl_->generation_tokens.Increment(static_cast<double>(step.tokens.size()));
  if (step.drafted == 0) return;
  impl_->drafts.Increment();
  impl_->draft_tokens.Increment(step.drafted);
  impl_->accepted.Increment(step.accepted);
  for (size_t i = 0; i < impl_->accepted_at.size() && static_cast<int>(i) < step.accepted; ++i) {
    impl_->accepted_at[i]->Increment();
  }
}

void Metrics::observe_first_token(double seconds) {
  impl_->first_token.Observe(seconds);
}

void Metrics::observe_between_steps(double seconds) {
  impl_->between_tokens.Observe(seconds);
}

void Metrics::add_done(const Generation& generation, double seconds) {
  impl_->success[static_cast<size_t>(generation.finish_reason)]->Increment();
  impl_->request_time.Observe(seconds);
  impl_->queue_time.Observe(generation.stats.queue_seconds);
}

std::string Metrics::text(const EngineLoad& load) {
  const std::lock_guard lock(impl_->mutex);
  impl_->running.Set(load.running);
  impl_->waiting.Set(load.waiting);
  impl_->cache_usage.Set(
      load.cache_pages == 0 ? 0 : static_cast<double>(load.pages_in_use) / load.cache_pages);
  set(impl_->prefix_queries, static_cast<double>(load.prefix_queries));
  set(impl_->prefix_hits, static_cast<double>(load.prefix_hits));
  set(impl_->preemptions, static_cast<double>(load.preemptions));
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, impl_->registry.Collect());
  return text.str();
}

}  // namespace orthrus::server
