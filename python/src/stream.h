// A request under way, on the side of the one who waits for it.
#pragma once

#include <nanobind/nanobind.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "host.h"
#include "orthrus/generation.h"
#include "orthrus/request.h"
#include "wake.h"

namespace orthrus::python {

// What became of one pass, copied out of the engine's thread.
struct StepNews {
  std::vector<int32_t> tokens;
  std::string text;
  int drafted = 0, accepted = 0;
  std::vector<TokenLogprobs> logprobs;
};

// The one who is to hear that there is news: an event loop, or nobody, who calls wait().
struct Listener {
  std::shared_ptr<Waker> waker;
  uint64_t key = 0;
};

class Stream {
 public:
  // Submits the request; with `steps` every one of its passes is news, otherwise its end alone.
  // Throws as AsyncEngine::submit. The GIL is not needed.
  Stream(std::shared_ptr<Host> host, Request request, bool steps, Listener listener);
  ~Stream() { cancel(); }  // what nobody reads need not be written
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Until there is news. Call it with the GIL, which it gives away meanwhile; every tenth of a
  // second it lets signals be handled, whose exception, a KeyboardInterrupt, comes out of it.
  // Throws Error(kSystem) in a process that was forked since: no news gets there.
  void wait() const;
  // The steps that are new. Throws std::bad_alloc where memory failed to keep one.
  std::vector<StepNews> take();
  // What all came to; null until it has ended.
  std::shared_ptr<const Generation> result() const;
  // Ends it soon, with what it has come to. Nothing where it has ended.
  void cancel();

 private:
  // What the engine's thread shares with the stream, and may outlive it.
  struct News {
    mutable std::mutex mutex;
    mutable std::condition_variable changed;
    std::vector<StepNews> steps;
    std::shared_ptr<const Generation> result;
    bool out_of_memory = false;
    Listener listener;

    bool waiting() const { return !steps.empty() || result != nullptr || out_of_memory; }
    // Makes a change, unless memory fails, and tells of it. False where memory has failed.
    template <class Change>
    bool add(const Change& change);
  };

  const std::shared_ptr<Host> host_;
  const std::shared_ptr<News> news_;
  AsyncEngine::Id id_ = 0;
};

// Python's hold on a Waker. The engine's thread may drop the last reference to what is within, so
// that must not be Python's.
struct WakerHandle {
  std::shared_ptr<Waker> waker = std::make_shared<Waker>();
};

void bind_streams(nanobind::module_& module);

}  // namespace orthrus::python
