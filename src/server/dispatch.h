// From handlers to the engine: limits, the end of requests whose client has gone, metrics.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "orthrus/async_engine.h"
#include "server/http/exchange.h"
#include "server/server_info.h"

namespace orthrus::server {

class Metrics;
struct ApiError;

struct DispatchLimits {
  // Most requests beside those that may run at once, EngineLoad::batch; 0: any number.
  int max_queue = 0;
  std::chrono::milliseconds timeout{0};  // after which a request ends with an error; 0: never
};

// Thread-safe. Lives until all that was submitted is done, as it is after the AsyncEngine's end.
class Dispatcher {
 public:
  // On the engine's thread, between passes: they must be quick. What they throw ends the request.
  struct Callbacks {
    std::function<void(const Step&)> on_step;  // may be empty
    std::function<void(Generation)> on_done;   // once, after the last on_step; of a whole one
    // May be empty. After each chunk of the prompt, with its tokens done and in all.
    std::function<void(int done, int total)> on_prefill{};
  };
  // Likewise. Once, when one of an exchange's requests fails or is ended early: the others end, and
  // no callback of theirs comes any more. Empty: Exchange::fail.
  using OnFail = std::function<void(const ApiError&)>;

  Dispatcher(AsyncEngine& engine, Metrics& metrics, ServerInfo info, DispatchLimits limits);
  ~Dispatcher();
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  // Generates for one exchange: `requests` are the choices of one answer, or a batch, each with its
  // callbacks; they count as one request of the queue. Their own callbacks are not used. Throws
  // Error(kUsage), before anything has begun, as Engine::generate does. False where there are too
  // many, or the server is about to end: the exchange has its answer then, 429 or 503.
  //
  // They end early when the client goes, time is up (504), or all is cancelled (503). An exchange
  // that time ran out for has its answer at once, unless it streams; then on_fail tells it.
  bool submit(const std::shared_ptr<Exchange>& exchange, std::vector<Request> requests,
              std::vector<Callbacks> callbacks, OnFail on_fail = {});

  const Engine& engine() const;
  const ServerInfo& info() const;

  // From now on refuses what comes.
  void drain();
  bool draining() const;
  bool idle() const;  // nothing runs or waits
  // Ends everything that runs or waits, as kCancelled.
  void cancel_all();
  EngineLoad load() const;

 private:
  struct Unit;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace orthrus::server
