#include "orthrus/async_engine.h"

#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "base/float_environment.h"
#include "base/thread_for.h"
#include "engine/calls.h"

namespace orthrus {

struct AsyncEngine::Impl {
  struct Entry {
    Entry(const Engine::Impl& with, Request asked, std::function<void(Generation)> done)
        : request(std::move(asked)), on_done(std::move(done)), call(with, request) {}
    Request request;
    std::function<void(Generation)> on_done;
    Call call;
    bool cancelled = false;  // and its call does not know yet; with the lock held
  };
  // Whose merging and erasing allocate nothing: nobody would hear of a failure in the thread.
  using Entries = std::map<Id, std::unique_ptr<Entry>>;

  explicit Impl(Engine own)
      : engine(std::move(own)),
        with(engine.shared_impl()),
        scheduler(with->scheduler()),
        thread(thread_for("the engine", [this] { run(); })) {}

  void run();
  void take_news();

  Engine engine;
  const std::shared_ptr<const Engine::Impl> with;
  const std::shared_ptr<Scheduler> scheduler;
  Mailbox mailbox;

  std::mutex mutex;
  std::condition_variable changed;
  Entries entries;   // changed by the thread alone, with the lock held
  Entries arrivals;  // that have been submitted since
  Id next_id = 1;
  bool ending = false;

  std::thread thread;  // the last: it uses all of the above
};

void AsyncEngine::Impl::run() {
  const FloatEnvironment ours;
  for (;;) {
    bool arrived = false;
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return ending || !entries.empty() || !arrivals.empty(); });
      arrived = !arrivals.empty();
      entries.merge(arrivals);
      if (ending && entries.empty()) return;
      for (const auto& [id, entry] : entries) {
        if (std::exchange(entry->cancelled, false) || ending) entry->call.cancel(*scheduler);
      }
    }
    // What has just arrived may be at its end, and have been told of with the news before.
    if (!arrived) scheduler->wait(mailbox);
    take_news();
  }
}

void AsyncEngine::Impl::take_news() {
  for (auto next = entries.begin(); next != entries.end();) {
    const auto here = next++;
    Entry& entry = *here->second;
    try {
      entry.call.take_news(*scheduler);
    } catch (...) {  // its own callback's
      entry.call.cancel(*scheduler);
    }
    if (!entry.call.ended()) continue;
    std::unique_lock lock(mutex);
    const std::unique_ptr<Entry> done = std::move(entries.extract(here).mapped());
    lock.unlock();
    try {
      Generation generation = std::move(done->call).result();
      const CallersFloatEnvironment callers;
      if (done->on_done) done->on_done(std::move(generation));
    } catch (...) {  // nobody is left to hear of it
    }
  }
}

AsyncEngine::AsyncEngine(Engine engine) {
  engine.start_session();  // throws where it cannot be used
  impl_ = std::make_unique<Impl>(std::move(engine));
}

AsyncEngine::~AsyncEngine() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->ending = true;
  }
  impl_->changed.notify_all();
  impl_->scheduler->poke(impl_->mailbox);
  impl_->thread.join();
}

const Engine& AsyncEngine::engine() const {
  return impl_->engine;
}

AsyncEngine::Id AsyncEngine::submit(Request request, std::function<void(Generation)> on_done) {
  const FloatEnvironment ours;
  auto entry = std::make_unique<Impl::Entry>(*impl_->with, std::move(request), std::move(on_done));
  Call& call = entry->call;
  Id id = 0;
  {
    // Its news is asked for once it is among the arrivals, and not before.
    const std::lock_guard lock(impl_->mutex);
    id = impl_->next_id++;
    const auto place = impl_->arrivals.emplace(id, std::move(entry)).first;
    try {
      call.submit(*impl_->scheduler, impl_->mailbox);
    } catch (...) {
      impl_->arrivals.erase(place);
      throw;
    }
  }
  impl_->changed.notify_all();
  impl_->scheduler->poke(impl_->mailbox);
  return id;
}

void AsyncEngine::cancel(Id id) {
  {
    const std::lock_guard lock(impl_->mutex);
    for (const Impl::Entries* entries : {&impl_->entries, &impl_->arrivals}) {
      const auto found = entries->find(id);
      if (found != entries->end()) found->second->cancelled = true;
    }
  }
  impl_->scheduler->poke(impl_->mailbox);
}

EngineLoad AsyncEngine::load() const {
  return impl_->scheduler->load();
}

}  // namespace orthrus
