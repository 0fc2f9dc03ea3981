#include "orthrus/async_engine.h"

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

namespace orthrus {

struct AsyncEngine::Impl {
  struct Entry {
    Request request;
    std::function<void(Generation)> on_done;
    bool cancelled = false;
  };
  explicit Impl(Engine own) : engine(std::move(own)), thread([this] { run(); }) {}

  void run() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [&] { return ending || !entries.empty(); });
      if (entries.empty()) return;
      running = entries.begin()->first;
      Entry& entry = entries.begin()->second;
      lock.unlock();
      Generation generation;
      generation.finish_reason = FinishReason::kCancelled;
      const auto on_step = entry.request.on_step;
      entry.request.on_step = [&](const Step& step) {
        {
          const std::lock_guard hold(mutex);
          if (entry.cancelled || ending) return false;
        }
        return !on_step || on_step(step);
      };
      if (!entry.cancelled && !ending) generation = engine.generate(entry.request);
      if (entry.on_done) entry.on_done(std::move(generation));
      lock.lock();
      entries.erase(running);
    }
  }

  Engine engine;
  std::mutex mutex;
  std::condition_variable changed;
  std::map<Id, Entry> entries;
  Id next = 1, running = 0;
  bool ending = false;
  std::thread thread;
};

AsyncEngine::AsyncEngine(Engine engine) : impl_(std::make_unique<Impl>(std::move(engine))) {}

AsyncEngine::~AsyncEngine() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->ending = true;
  }
  impl_->changed.notify_all();
  impl_->thread.join();
}

const Engine& AsyncEngine::engine() const {
  return impl_->engine;
}

AsyncEngine::Id AsyncEngine::submit(Request request, std::function<void(Generation)> on_done) {
  validate(request, impl_->engine.config(), impl_->engine.tokenizer());
  const std::lock_guard lock(impl_->mutex);
  const Id id = impl_->next++;
  impl_->entries[id] = {std::move(request), std::move(on_done)};
  impl_->changed.notify_all();
  return id;
}

void AsyncEngine::cancel(Id id) {
  const std::lock_guard lock(impl_->mutex);
  const auto entry = impl_->entries.find(id);
  if (entry != impl_->entries.end()) entry->second.cancelled = true;
}

EngineLoad AsyncEngine::load() const {
  const std::lock_guard lock(impl_->mutex);
  const auto waiting = static_cast<int>(impl_->entries.size());
  return {.running = waiting > 0 ? 1 : 0, .waiting = waiting > 0 ? waiting - 1 : 0};
}

}  // namespace orthrus
