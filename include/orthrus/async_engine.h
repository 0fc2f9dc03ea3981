// Requests that come and go while others are decoded: what a server, or an event loop, is made of.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "orthrus/engine.h"
#include "orthrus/request.h"

namespace orthrus {

// What an engine is doing, and what it has done since it was loaded.
struct EngineLoad {
  int batch = 0;                // requests that run together at most
  int running = 0;              // requests whose keys and values are in the cache
  int waiting = 0;              // requests that wait for their turn
  int64_t cache_pages = 0;      // that the cache may have; a page has 64 positions
  int64_t pages_in_use = 0;     // by requests that run; others may hold cached prompts
  int64_t cached_pages = 0;     // that hold what requests have left behind
  uint64_t prefix_queries = 0;  // prompt tokens that were looked for in the cache
  uint64_t prefix_hits = 0;     // of those, tokens that it had
  uint64_t preemptions = 0;     // of requests that gave way and were computed again
};

// An engine with a thread of its own. All requests share its passes, also with those that other
// threads give to the Engine itself, and every one comes out as it would alone.
//
// Thread-safe. Callbacks are called by that thread, one at a time, between passes: they should be
// quick. They may submit and cancel; what they throw ends their request as kCancelled.
class AsyncEngine {
 public:
  using Id = uint64_t;

  // Throws as Engine::start_session, and Error(kSystem) where the system gives no thread.
  explicit AsyncEngine(Engine engine);
  // Cancels what is not done, each of which hears of it.
  ~AsyncEngine();
  AsyncEngine(const AsyncEngine&) = delete;
  AsyncEngine& operator=(const AsyncEngine&) = delete;

  const Engine& engine() const;

  // Throws Error(kUsage) as Engine::generate does; otherwise `on_done` is called once, after the
  // last on_step of the request.
  Id submit(Request request, std::function<void(Generation)> on_done);

  // Ends it as soon as may be, as kCancelled, with what it has come to. Nothing where it is done.
  void cancel(Id id);

  EngineLoad load() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace orthrus
