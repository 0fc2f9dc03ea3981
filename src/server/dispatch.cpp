#include "server/dispatch.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>
#include <string_view>
#include <thread>
#include <utility>

#include "server/api/error.h"
#include "server/metrics.h"
#include "server/totals.h"

namespace orthrus::server {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point then) {
  return std::chrono::duration<double>(Clock::now() - then).count();
}

}  // namespace

// The requests of one exchange.
struct Dispatcher::Unit {
  std::shared_ptr<Exchange> exchange;
  Clock::time_point came = Clock::now();
  std::atomic<bool> begun = false;  // one of them does not wait any more

  std::mutex mutex;
  std::vector<AsyncEngine::Id> ids;
  bool cancelled = false;
  size_t left = 0;  // that are not done
  Totals totals;
};

struct Dispatcher::Impl {
  Impl(AsyncEngine& engine, Metrics& metrics, ServerInfo info, DispatchLimits limits)
      : engine(engine), metrics(metrics), info(std::move(info)), limits(limits) {
    if (limits.timeout.count() > 0) clock = std::thread([this] { watch_time(); });
  }

  // Ends what is not done, and waits for it: the engine's thread comes here with each one's end.
  ~Impl() {
    std::unique_lock lock(mutex);
    const auto left = units;
    lock.unlock();
    for (const auto& unit : left) cancel(*unit);
    lock.lock();
    changed.wait(lock, [&] { return units.empty(); });
    ending = true;
    lock.unlock();
    changed.notify_all();
    if (clock.joinable()) clock.join();
  }

  bool admit(const std::shared_ptr<Unit>& unit);
  void begin(Unit& unit);
  void leave(const std::shared_ptr<Unit>& unit);
  void cancel(Unit& unit);
  int retry_after() const;
  void watch_time();
  Request watched(const std::shared_ptr<Unit>& unit, Request request, Callbacks& callbacks);
  void on_done(const std::shared_ptr<Unit>& unit, int prompt, const Callbacks& callbacks,
               Generation generation);

  AsyncEngine& engine;
  Metrics& metrics;
  const ServerInfo info;
  const DispatchLimits limits;
  std::atomic<bool> draining = false;

  mutable std::mutex mutex;
  std::condition_variable changed;
  std::set<std::shared_ptr<Unit>> units;
  int waiting = 0;           // of them
  double usual_seconds = 1;  // that one takes, lately
  bool ending = false;
  std::thread clock;
};

// Adds it to those that wait, unless there are too many.
bool Dispatcher::Impl::admit(const std::shared_ptr<Unit>& unit) {
  const std::lock_guard lock(mutex);
  if (limits.max_queue > 0 && waiting >= limits.max_queue) return false;
  units.insert(unit);
  ++waiting;
  return true;
}

void Dispatcher::Impl::begin(Unit& unit) {
  if (unit.begun.exchange(true)) return;
  const std::lock_guard lock(mutex);
  --waiting;
}

void Dispatcher::Impl::leave(const std::shared_ptr<Unit>& unit) {
  begin(*unit);
  const std::lock_guard lock(mutex);
  units.erase(unit);
  usual_seconds += 0.1 * (seconds_since(unit->came) - usual_seconds);
  changed.notify_all();  // while it is locked: whoever waits for the last one may end all this
}

void Dispatcher::Impl::cancel(Unit& unit) {
  std::vector<AsyncEngine::Id> ids;
  {
    const std::lock_guard lock(unit.mutex);
    unit.cancelled = true;
    if (unit.left > 0) ids = unit.ids;
  }
  for (const AsyncEngine::Id id : ids) engine.cancel(id);
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
    std::vector<std::shared_ptr<Unit>> late;
    for (const std::shared_ptr<Unit>& unit : units) {
      if (Clock::now() - unit->came > limits.timeout) late.push_back(unit);
    }
    lock.unlock();
    for (const std::shared_ptr<Unit>& unit : late) {
      const std::chrono::duration<double> most = limits.timeout;
      unit->exchange->fail({504,
                            "server_error",
                            fmt::format("The request took longer than {:g} seconds.", most.count()),
                            {},
                            "timeout"});
      cancel(*unit);
    }
    late.clear();
    lock.lock();
  }
}

Request Dispatcher::Impl::watched(const std::shared_ptr<Unit>& unit, Request request,
                                  Callbacks& callbacks) {
  request.on_prefill = [this, unit, on_prefill = std::move(callbacks.on_prefill)](int done,
                                                                                  int total) {
    begin(*unit);
    if (on_prefill) on_prefill(done, total);
    return true;
  };
  std::optional<Clock::time_point> last;
  request.on_step = [this, unit, last, prompt = static_cast<int>(request.prompt.size()),
                     on_step = std::move(callbacks.on_step)](const Step& step) mutable {
    begin(*unit);
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
    if (on_step) on_step(step);
    return true;
  };
  return request;
}

void Dispatcher::Impl::on_done(const std::shared_ptr<Unit>& unit, int prompt,
                               const Callbacks& callbacks, Generation generation) {
  metrics.add_done(generation, seconds_since(unit->came));
  bool last = false;
  {
    const std::lock_guard lock(unit->mutex);
    unit->totals.add(prompt, generation);
    last = --unit->left == 0;
    // Before the answer's end, which the line of the log follows.
    if (last) unit->exchange->note(unit->totals.note());
  }
  try {
    if (callbacks.on_done) callbacks.on_done(std::move(generation));
  } catch (const std::exception& error) {
    unit->exchange->fail(as_api_error(error));
  }
  if (last) leave(unit);
}

Dispatcher::Dispatcher(AsyncEngine& engine, Metrics& metrics, ServerInfo info,
                       DispatchLimits limits)
    : impl_(std::make_unique<Impl>(engine, metrics, std::move(info), limits)) {}

Dispatcher::~Dispatcher() = default;

bool Dispatcher::submit(const std::shared_ptr<Exchange>& exchange, std::vector<Request> requests,
                        std::vector<Callbacks> callbacks) {
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
  unit->left = requests.size();
  if (!impl->admit(unit)) {
    exchange->fail(
        {429,
         "rate_limit_error",
         fmt::format("{} requests wait already, which is as many as may.", impl->limits.max_queue),
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
      const bool cancelled = unit->cancelled;
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
    impl->cancel(*unit);
    throw;
  }
  exchange->on_close([impl, weak = std::weak_ptr(unit)] {
    if (const auto held = weak.lock()) impl->cancel(*held);
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
  for (const std::shared_ptr<Unit>& unit : units) impl_->cancel(*unit);
}

EngineLoad Dispatcher::load() const {
  return impl_->engine.load();
}

}  // namespace orthrus::server
