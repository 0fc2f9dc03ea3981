#include "server/dispatch.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <new>
#include <optional>
#include <set>
#include <string_view>
#include <thread>
#include <utility>

#include "base/thread_for.h"
#include "server/api/error.h"
#include "server/metrics.h"
#include "server/totals.h"

namespace orthrus::server {
namespace {

using Clock = std::chrono::steady_clock;

// Why requests are ended before their end.
enum class Why { kClientGone, kTimeout, kShutdown, kFailed };

double seconds_since(Clock::time_point then) {
  return std::chrono::duration<double>(Clock::now() - then).count();
}

bool is_whole(const Generation& generation) {
  return generation.finish_reason == FinishReason::kStop ||
         generation.finish_reason == FinishReason::kLength;
}

// What the log calls its end.
std::string_view end_of(const Generation& generation, std::optional<Why> cancelled) {
  if (generation.finish_reason == FinishReason::kCancelled) {
    if (cancelled == Why::kTimeout) return "timeout";
    if (cancelled == Why::kShutdown) return "shutdown";
    if (cancelled == Why::kFailed) return "failed";
  }
  return name_of(generation.finish_reason);
}

}  // namespace

// The requests of one exchange.
struct Dispatcher::Unit {
  std::shared_ptr<Exchange> exchange;
  OnFail on_fail;
  Clock::time_point came = Clock::now();
  bool failed = false;  // on_fail was called; of the engine's thread alone

  std::mutex mutex;
  std::vector<AsyncEngine::Id> ids;
  std::optional<Why> cancelled;
  size_t left = 0;  // that are not done
  Totals totals;
};

struct Dispatcher::Impl {
  Impl(AsyncEngine& engine, Metrics& metrics, ServerInfo info, DispatchLimits limits)
      : engine(engine), metrics(metrics), info(std::move(info)), limits(limits) {
    if (limits.timeout.count() > 0) {
      clock = thread_for("timeouts", [this] { watch_time(); });
    }
  }

  // Ends what is not done, and waits for it: the engine's thread comes here with each one's end.
  ~Impl() {
    std::unique_lock lock(mutex);
    const auto left = units;
    lock.unlock();
    for (const auto& unit : left) cancel(*unit, Why::kShutdown);
    lock.lock();
    changed.wait(lock, [&] { return units.empty(); });
    ending = true;
    lock.unlock();
    changed.notify_all();
    if (clock.joinable()) clock.join();
  }

  bool admit(const std::shared_ptr<Unit>& unit);
  void leave(const std::shared_ptr<Unit>& unit);
  void cancel(Unit& unit, Why why);
  void fail(Unit& unit, const ApiError& error);
  void call(Unit& unit, const auto& callback, auto&&... arguments);
  ApiError error_of(const Generation& generation, std::optional<Why> cancelled) const;
  ApiError timeout_error() const;
  int retry_after() const;
  void watch_time();
  void end_late();
  Request watched(const std::shared_ptr<Unit>& unit, Request request, Callbacks& callbacks);
  void on_done(const std::shared_ptr<Unit>& unit, int prompt, const Callbacks& callbacks,
               Generation generation);
  void tell_end(Unit& unit, int prompt, const Callbacks& callbacks, Generation generation,
                std::optional<Why> cancelled, bool last);

  AsyncEngine& engine;
  Metrics& metrics;
  const ServerInfo info;
  const DispatchLimits limits;
  std::atomic<bool> draining = false;

  mutable std::mutex mutex;
  std::condition_variable changed;
  std::set<std::shared_ptr<Unit>> units;
  double usual_seconds = 1;  // that one takes, lately
  bool ending = false;
  std::thread clock;
};

// Adds it to those that run or wait, unless there are too many. What may run at once does not wait,
// though it has not begun: a burst that finds the engine idle is no queue.
bool Dispatcher::Impl::admit(const std::shared_ptr<Unit>& unit) {
  const size_t most =
      static_cast<size_t>(engine.load().batch) + static_cast<size_t>(limits.max_queue);
  const std::lock_guard lock(mutex);
  if (limits.max_queue > 0 && units.size() >= most) return false;
  units.insert(unit);
  return true;
}

void Dispatcher::Impl::leave(const std::shared_ptr<Unit>& unit) {
  const std::lock_guard lock(mutex);
  units.erase(unit);
  usual_seconds += 0.1 * (seconds_since(unit->came) - usual_seconds);
  changed.notify_all();  // while it is locked: whoever waits for the last one may end all this
}

void Dispatcher::Impl::cancel(Unit& unit, Why why) {
  const std::lock_guard lock(unit.mutex);
  if (unit.cancelled) return;
  unit.cancelled = why;
  if (unit.left == 0) return;
  for (const AsyncEngine::Id id : unit.ids) engine.cancel(id);
}

// Of the engine's thread. An answer without one of its choices is none: the others end, too.
void Dispatcher::Impl::fail(Unit& unit, const ApiError& error) {
  if (std::exchange(unit.failed, true)) return;
  cancel(unit, Why::kFailed);
  if (unit.on_fail) {
    unit.on_fail(error);
  } else {
    unit.exchange->fail(error);
  }
}

// Unless the exchange has failed. What it throws is a failure.
void Dispatcher::Impl::call(Unit& unit, const auto& callback, auto&&... arguments) {
  if (!callback || unit.failed) return;
  try {
    callback(std::forward<decltype(arguments)>(arguments)...);
  } catch (const std::exception& error) {
    fail(unit, as_api_error(error));
  }
}

ApiError Dispatcher::Impl::error_of(const Generation& generation,
                                    std::optional<Why> cancelled) const {
  if (generation.finish_reason == FinishReason::kFailed) {
    return {500, "server_error",
            fmt::format("Generation failed: {}.", describe(generation.status))};
  }
  if (cancelled == Why::kTimeout) return timeout_error();
  return {503, "server_error", "The request was ended before its answer was."};
}

ApiError Dispatcher::Impl::timeout_error() const {
  const std::chrono::duration<double> most = limits.timeout;
  return {504,
          "timeout_error",
          fmt::format("The request took longer than {:g} s.", most.count()),
          {},
          "timeout"};
}

// Seconds until the queue has moved on, by what requests took lately.
int Dispatcher::Impl::retry_after() const {
  const int running = std::max(1, engine.load().running);
  const std::lock_guard lock(mutex);
  return static_cast<int>(std::clamp(usual_seconds / running, 1.0, 60.0));
}

void Dispatcher::Impl::watch_time() {
  constexpr std::chrono::milliseconds kTick{50};
  std::unique_lock lock(mutex);
  while (!changed.wait_for(lock, kTick, [&] { return ending; })) {
    lock.unlock();
    try {
      end_late();
    } catch (const std::bad_alloc&) {  // again in the next tick
    }
    lock.lock();
  }
}

void Dispatcher::Impl::end_late() {
  std::vector<std::shared_ptr<Unit>> late;
  {
    const std::lock_guard lock(mutex);
    for (const std::shared_ptr<Unit>& unit : units) {
      if (Clock::now() - unit->came > limits.timeout) late.push_back(unit);
    }
  }
  for (const std::shared_ptr<Unit>& unit : late) {
    cancel(*unit, Why::kTimeout);
    unit->exchange->fail(timeout_error());  // does not wait for the end of the pass
  }
}

Request Dispatcher::Impl::watched(const std::shared_ptr<Unit>& unit, Request request,
                                  Callbacks& callbacks) {
  request.on_prefill = [this, unit, on_prefill = std::move(callbacks.on_prefill)](int done,
                                                                                  int total) {
    call(*unit, on_prefill, done, total);
    return true;
  };
  std::optional<Clock::time_point> last;
  request.on_step = [this, unit, last, prompt = static_cast<int>(request.prompt.size()),
                     on_step = std::move(callbacks.on_step)](const Step& step) mutable {
    if (!last) {
      const double seconds = seconds_since(unit->came);
      metrics.add_prompt(prompt);
      metrics.observe_first_token(seconds);
      const std::lock_guard lock(unit->mutex);
      if (!unit->totals.first_token) unit->totals.first_token = seconds;
    } else {
      metrics.observe_between_steps(seconds_since(*last));
    }
    last = Clock::now();
    metrics.add_step(step);
    call(*unit, on_step, step);
    return true;
  };
  return request;
}

void Dispatcher::Impl::on_done(const std::shared_ptr<Unit>& unit, int prompt,
                               const Callbacks& callbacks, Generation generation) {
  std::unique_lock lock(unit->mutex);
  const std::optional<Why> cancelled = unit->cancelled;
  const bool last = --unit->left == 0;
  lock.unlock();
  try {
    tell_end(*unit, prompt, callbacks, std::move(generation), cancelled, last);
  } catch (const std::exception&) {  // no memory for the answer: it is let go without one
  }
  if (last) leave(unit);
}

void Dispatcher::Impl::tell_end(Unit& unit, int prompt, const Callbacks& callbacks,
                                Generation generation, std::optional<Why> cancelled, bool last) {
  metrics.add_done(generation, seconds_since(unit.came));
  {
    const std::lock_guard lock(unit.mutex);
    unit.totals.add(prompt, generation, end_of(generation, cancelled));
    // Before the answer's end, which the line of the log follows.
    if (last) unit.exchange->note(unit.totals.note());
  }
  if (is_whole(generation)) {
    call(unit, callbacks.on_done, std::move(generation));
  } else {
    fail(unit, error_of(generation, cancelled));
  }
}

Dispatcher::Dispatcher(AsyncEngine& engine, Metrics& metrics, ServerInfo info,
                       DispatchLimits limits)
    : impl_(std::make_unique<Impl>(engine, metrics, std::move(info), limits)) {}

Dispatcher::~Dispatcher() = default;

bool Dispatcher::submit(const std::shared_ptr<Exchange>& exchange, std::vector<Request> requests,
                        std::vector<Callbacks> callbacks, OnFail on_fail) {
  Impl* const impl = impl_.get();
  if (impl->draining) {
    exchange->fail({503, "server_error", "The server is about to end.", {}, "draining"},
                   {{"Retry-After", "10"}});
    return false;
  }
  for (const Request& request : requests) {
    validate(request, engine().config(), engine().tokenizer());
  }
  const auto unit = std::make_shared<Unit>();
  unit->exchange = exchange;
  unit->on_fail = std::move(on_fail);
  unit->left = requests.size();
  unit->ids.reserve(requests.size());  // what has been submitted can always be cancelled
  if (!impl->admit(unit)) {
    exchange->fail({429,
                    "rate_limit_error",
                    "As many requests run and wait already as may; try again later.",
                    {},
                    "rate_limit_exceeded"},
                   {{"Retry-After", std::to_string(impl->retry_after())}});
    return false;
  }
  size_t submitted = 0;
  try {
    for (; submitted < requests.size(); ++submitted) {
      const auto own = std::make_shared<Callbacks>(std::move(callbacks[submitted]));
      const int prompt = static_cast<int>(requests[submitted].prompt.size());
      const AsyncEngine::Id id =
          impl->engine.submit(impl->watched(unit, std::move(requests[submitted]), *own),
                              [impl, unit, own, prompt](Generation generation) {
                                impl->on_done(unit, prompt, *own, std::move(generation));
                              });
      std::unique_lock lock(unit->mutex);
      unit->ids.push_back(id);
      const bool cancelled = unit->cancelled.has_value();
      lock.unlock();
      if (cancelled) impl->engine.cancel(id);
    }
  } catch (...) {
    // Those that were not submitted will not be done; the others end.
    std::unique_lock lock(unit->mutex);
    unit->left -= requests.size() - submitted;
    const bool last = unit->left == 0;
    lock.unlock();
    if (last) impl->leave(unit);
    impl->cancel(*unit, Why::kFailed);
    throw;
  }
  exchange->on_close([impl, weak = std::weak_ptr(unit)] {
    if (const auto held = weak.lock()) impl->cancel(*held, Why::kClientGone);
  });
  return true;
}

const Engine& Dispatcher::engine() const {
  return impl_->engine.engine();
}

const ServerInfo& Dispatcher::info() const {
  return impl_->info;
}

void Dispatcher::drain() {
  impl_->draining = true;
}

bool Dispatcher::draining() const {
  return impl_->draining;
}

bool Dispatcher::idle() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->units.empty();
}

void Dispatcher::cancel_all() {
  std::set<std::shared_ptr<Unit>> units;
  {
    const std::lock_guard lock(impl_->mutex);
    units = impl_->units;
  }
  for (const std::shared_ptr<Unit>& unit : units) impl_->cancel(*unit, Why::kShutdown);
}

EngineLoad Dispatcher::load() const {
  return impl_->engine.load();
}

}  // namespace orthrus::server
