#include "engine/calls.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "engine/request.h"

namespace orthrus {
namespace {

TaskSpec spec_of(const Engine::Impl& engine, const Request& request) {
  TaskSpec spec{.prompt = request.prompt,
                .params = check_request(engine.config, request, engine.tokenizer_or_null()),
                .chooses = chooses(engine.config, request),
                .priority = request.options.priority,
                .salt = request.options.cache_salt};
  if (spec.params.prefill_chunk == 0) spec.params.prefill_chunk = engine.model->prefill_chunk();
  return spec;
}

// Ends what has not ended when its owner leaves, by an exception too.
class Owner {
 public:
  Owner(Scheduler& scheduler, std::deque<Call>& calls) : scheduler_(&scheduler), calls_(&calls) {}
  ~Owner() {
    for (Call& call : *calls_) {
      if (call.task() != nullptr && !call.ended()) {
        scheduler_->abandon(std::span(&call.task(), 1), mailbox);
      }
    }
  }
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;

  Mailbox mailbox;

 private:
  Scheduler* scheduler_;
  std::deque<Call>* calls_;
};

}  // namespace

Call::Call(const Engine::Impl& engine, const Request& request)
    : spec_(spec_of(engine, request)),
      transcript_(request, spec_.params, engine.tokenizer_or_null()) {}

void Call::submit(Scheduler& scheduler, Mailbox& mailbox) {
  task_ = scheduler.submit(spec_, mailbox);
}

void Call::take_news(Scheduler& scheduler) {
  const News news = scheduler.collect(*task_);
  ended_ = news.ended;  // whatever a callback throws: nobody would tell it again
  const bool wanted_more = !transcript_.done();
  const bool wants_more = transcript_.take(news);
  if (wanted_more && !wants_more && !ended_) scheduler.cancel(*task_);
}

void Call::cancel(Scheduler& scheduler) {
  if (!transcript_.done()) transcript_.cancel();
  if (!ended_) scheduler.cancel(*task_);
}

Generation Call::failed(Status status) && {
  transcript_.fail(status);
  return std::move(transcript_).result(nullptr);
}

std::vector<Generation> run_calls(const Engine::Impl& engine, std::span<const Request> requests) {
  std::deque<Call> calls;
  for (const Request& request : requests) calls.emplace_back(engine, request);
  std::vector<Generation> results;
  results.reserve(requests.size());
  std::shared_ptr<Scheduler> scheduler;
  try {
    scheduler = engine.scheduler();
  } catch (const DeviceLost&) {
    for (Call& call : calls) results.push_back(std::move(call).failed(Status::kDeviceLost));
    return results;
  }
  Owner owner(*scheduler, calls);
  for (Call& call : calls) call.submit(*scheduler, owner.mailbox);
  const auto ended = [](const Call& call) { return call.ended(); };
  while (!std::ranges::all_of(calls, ended)) {
    scheduler->wait(owner.mailbox);
    for (Call& call : calls) {
      if (!call.ended()) call.take_news(*scheduler);
    }
  }
  for (Call& call : calls) results.push_back(std::move(call).result());
  return results;
}

}  // namespace orthrus
