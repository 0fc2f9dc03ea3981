// Requests that come and go, from any thread and from callbacks: each hears of its end once, what
// it held is given back, and the others do not notice. What they come to is exactness_test.cpp's.
#include "orthrus/async_engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>
#include <random>
#include <stdexcept>
#include <thread>
#include <utility>

#include "backends/cpu/cpu_model.h"
#include "engine/engine_impl.h"
#include "support/cache_pages.h"
#include "support/expect_error_parts.h"
#include "support/fresh_seed.h"
#include "support/model.h"
#include "support/near_ties.h"
#include "support/temporary_directory.h"
#include "support/wrapped_model.h"

namespace orthrus {
namespace {

// Where requests end, in which order, and as what.
class Ends {
 public:
  std::function<void(Generation)> hear(int number) {
    return [this, number](Generation generation) {
      const std::lock_guard lock(mutex_);
      order_.push_back(number);
      all_.push_back(std::move(generation));
      changed_.notify_all();
    };
  }
  // Of so many requests; there are no more.
  std::vector<Generation> wait(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return all_.size() >= count; });
    EXPECT_EQ(all_.size(), count);
    return all_;
  }
  std::vector<int> order() {
    const std::lock_guard lock(mutex_);
    return order_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<int> order_;
  std::vector<Generation> all_;
};

// Something that happens once, as one thread says and others wait for.
class Event {
 public:
  void happen() { promise_.set_value(); }
  void wait() const { future_.wait(); }

 private:
  std::promise<void> promise_;
  std::shared_future<void> future_ = promise_.get_future().share();
};

// Whose lane tells of copies of pages: one is made where a request begins in part as another did.
class TellingModel final : public WrappedModel {
 public:
  TellingModel(const DeviceModel& model, const std::function<void()>& on_copy)
      : WrappedModel(model), on_copy_(&on_copy) {}
  std::unique_ptr<Lane> start(size_t pages) const override {
    return std::make_unique<TellingLane>(model_->start(pages), *on_copy_);
  }

 private:
  class TellingLane final : public Lane {
   public:
    TellingLane(std::unique_ptr<Lane> lane, const std::function<void()>& on_copy)
        : lane_(std::move(lane)), on_copy_(&on_copy) {}
    KvPool& pool() override { return lane_->pool(); }
    ForwardPass& pass() override { return lane_->pass(); }
    CycleRunner* cycles() override { return lane_->cycles(); }
    void copy_page(const std::byte* from, std::byte* to) override {
      (*on_copy_)();
      lane_->copy_page(from, to);
    }
    void fill_cache(const KvSequence& sequence) override { lane_->fill_cache(sequence); }

   private:
    std::unique_ptr<Lane> lane_;
    const std::function<void()>* on_copy_;
  };

  const std::function<void()>* on_copy_;
};

class Async : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    own_ = std::make_unique<test::TemporaryDirectory>();
    write_near_ties(own_->path());
  }
  static void TearDownTestSuite() { own_.reset(); }

  static AsyncEngine start(int max_batch = 0, int pages = 0) {
    return AsyncEngine(load({.threads = 1,
                             .cache_memory = bytes_of_pages(load_config(own_->path()), pages),
                             .max_batch = max_batch}));
  }
  static Engine load(const EngineOptions& options) { return Engine::load(own_->path(), options); }

  static Request request(int32_t first, int tokens, int prompt = 3) {
    Request r;
    for (int i = 0; i < prompt; ++i) r.prompt.push_back((first + 7 * i) % 290);
    r.options.max_tokens = tokens;
    r.options.ignore_eos = true;
    return r;
  }

  // Once all is over nothing is held, and what is remembered is no more than there is.
  static void expect_idle(const AsyncEngine& engine) {
    const EngineLoad load = engine.load();
    EXPECT_EQ(load.running, 0);
    EXPECT_EQ(load.waiting, 0);
    EXPECT_EQ(load.pages_in_use, 0);
    EXPECT_LE(load.cached_pages, load.cache_pages);
  }

  static inline std::unique_ptr<test::TemporaryDirectory> own_;
};

// One that is submitted while others begin, and ends with them, before it is among those whose news
// is asked for.
TEST_F(Async, WhatEndsAtOnceIsHeardOf) {
  Ends ends;
  Event begins, submitted;
  std::promise<void> heard;
  std::function<void()> on_copy = [] {};
  const CpuModel model(load_model(own_->path()), 1);
  AsyncEngine engine(Engine(std::make_shared<const Engine::Impl>(
      std::make_unique<TellingModel>(model, on_copy), std::nullopt, 1, EngineOptions{})));
  engine.submit(request(1, 1, 20), ends.hear(0));
  ends.wait(1);
  on_copy = [&] {
    begins.happen();
    submitted.wait();
  };
  engine.submit(request(1, 1, 23), ends.hear(1));
  begins.wait();
  engine.submit(request(50, 1), [&](Generation) { heard.set_value(); });
  submitted.happen();
  EXPECT_EQ(heard.get_future().wait_for(std::chrono::minutes(1)), std::future_status::ready);
}

TEST_F(Async, ShortRequestsAreServedManyAtATimeAndNoMore) {
  Ends ends;
  AsyncEngine engine = start(8);
  constexpr int kRequests = 300;
  std::atomic<int> most_running = 0;
  for (int i = 0; i < kRequests; ++i) {
    Request r = request(i % 50, 1 + i % 5);
    r.on_step = [&](const Step&) {
      most_running = std::max(most_running.load(), engine.load().running);
      return true;
    };
    engine.submit(std::move(r), ends.hear(i));
  }
  ends.wait(kRequests);
  std::vector<int> numbers = ends.order();
  std::ranges::sort(numbers);
  for (int i = 0; i < kRequests; ++i) EXPECT_EQ(numbers[static_cast<size_t>(i)], i);
  EXPECT_LE(most_running, 8);
  expect_idle(engine);
}

TEST_F(Async, StepsComeBeforeTheEndWhichComesOnce) {
  AsyncEngine engine = start();
  std::vector<int32_t> streamed;
  int ends = 0;
  std::promise<Generation> done;
  Request r = request(5, 40);
  r.on_step = [&](const Step& step) {
    EXPECT_EQ(ends, 0);
    streamed.insert(streamed.end(), step.tokens.begin(), step.tokens.end());
    return true;
  };
  const AsyncEngine::Id id = engine.submit(r, [&](Generation g) {
    if (++ends == 1) done.set_value(std::move(g));
  });
  const Generation g = done.get_future().get();
  EXPECT_EQ(g.finish_reason, FinishReason::kLength);
  EXPECT_EQ(g.output_ids, streamed);
  EXPECT_EQ(g.output_ids.size(), 40u);
  engine.cancel(id);  // it is done
  Ends others;
  engine.submit(request(6, 3), others.hear(0));
  EXPECT_EQ(others.wait(1)[0].output_ids.size(), 3u);
  EXPECT_EQ(ends, 1);
}

TEST_F(Async, ThreadsAndCallbacksSubmitAndCancel) {
  const unsigned seed = test::fresh_seed();
  Ends ends;
  AsyncEngine engine = start(6, 12);
  constexpr int kThreads = 4, kEach = 25;
  std::atomic<int> submitted = 0, ended = 0;
  std::mutex mutex;
  std::vector<AsyncEngine::Id> ids;
  const auto any_id = [&](unsigned die) {
    const std::lock_guard lock(mutex);
    return ids.empty() ? 0 : ids[die % ids.size()];
  };
  std::function<void(std::mt19937, int)> submit = [&](std::mt19937 random, int generations) {
    Request r = request(static_cast<int32_t>(random() % 20), static_cast<int>(1 + random() % 60),
                        static_cast<int>(1 + random() % 130));
    r.options.priority = static_cast<int>(random() % 3);
    if (random() % 3 == 0) {  // another one's end, or its own
      r.on_step = [&, random, left = static_cast<int>(random() % 8)](const Step&) mutable {
        if (left-- == 0) engine.cancel(any_id(random()));
        return true;
      };
    }
    const int number = submitted++;
    const auto id = engine.submit(
        std::move(r), [&, random, generations, hear = ends.hear(number)](Generation g) mutable {
          random.discard(5);
          if (generations > 0) submit(random, generations - 1);
          ++ended;
          hear(std::move(g));
        });
    const std::lock_guard lock(mutex);
    ids.push_back(id);
  };
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(seed + t);
      for (int i = 0; i < kEach; ++i) {
        submit(std::mt19937(static_cast<unsigned>(random())), i % 2);
        if (random() % 4 == 0) engine.cancel(any_id(static_cast<unsigned>(random())));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const size_t all = kThreads * (kEach + kEach / 2);
  for (const Generation& g : ends.wait(all)) {
    EXPECT_EQ(g.status, Status::kOk);
    EXPECT_NE(g.finish_reason, FinishReason::kFailed);
  }
  EXPECT_EQ(static_cast<size_t>(ended), all);
  expect_idle(engine);
}

// Behind another one, in its prefill, or while it decodes: what it has is given back.
TEST_F(Async, IsCancelledWhereverItIs) {
  Ends ends;
  AsyncEngine engine = start(1, 16);
  std::promise<AsyncEngine::Id> decoding_id, prefilling_id;
  const auto decoding = decoding_id.get_future().share();
  const auto prefilling = prefilling_id.get_future().share();
  Event queued_is_cancelled;

  Request first = request(1, 400);
  int steps = 0;
  first.on_step = [&](const Step&) {
    if (++steps == 1) queued_is_cancelled.wait();
    if (steps == 3) engine.cancel(decoding.get());
    return true;
  };
  decoding_id.set_value(engine.submit(first, ends.hear(1)));
  const auto queued = engine.submit(request(2, 400), ends.hear(2));
  engine.cancel(queued);
  queued_is_cancelled.happen();

  Request third = request(3, 400, 300);
  third.options.prefill_chunk = 64;
  int chunks = 0;
  third.on_prefill = [&](int done, int total) {
    EXPECT_LT(done, total);
    if (++chunks == 2) engine.cancel(prefilling.get());
    return true;
  };
  third.on_step = [](const Step&) {
    ADD_FAILURE() << "it was cancelled before";
    return true;
  };
  prefilling_id.set_value(engine.submit(third, ends.hear(3)));

  for (const Generation& g : ends.wait(3)) {
    EXPECT_EQ(g.finish_reason, FinishReason::kCancelled);
    EXPECT_EQ(g.status, Status::kOk);
    EXPECT_LT(g.output_ids.size(), 400u);
  }
  EXPECT_EQ(ends.order(), (std::vector{2, 1, 3}));
  EXPECT_LT(chunks, 5);
  expect_idle(engine);
  // What was computed of the prompt is known to the next one.
  std::promise<Generation> again;
  engine.submit(request(3, 1, 300), [&](Generation g) { again.set_value(std::move(g)); });
  EXPECT_GE(again.get_future().get().stats.cached_tokens, 64);
}

TEST_F(Async, EndsWhatRunsWhenItGoes) {
  Ends ends;
  constexpr int kRequests = 20;
  {
    AsyncEngine engine = start(4);
    Event running;
    std::once_flag once;
    for (int i = 0; i < kRequests; ++i) {
      Request r = request(i, 900);
      r.on_step = [&](const Step&) {
        std::call_once(once, [&] { running.happen(); });
        return true;
      };
      engine.submit(std::move(r), ends.hear(i));
    }
    running.wait();
  }
  std::vector<int> numbers = ends.order();
  std::ranges::sort(numbers);
  ASSERT_EQ(numbers.size(), size_t{kRequests});
  for (int i = 0; i < kRequests; ++i) EXPECT_EQ(numbers[static_cast<size_t>(i)], i);
  for (const Generation& g : ends.wait(kRequests)) {
    EXPECT_TRUE(g.finish_reason == FinishReason::kCancelled || g.output_ids.size() == 900u);
  }
}

TEST_F(Async, WhatACallbackThrowsEndsItsRequestAlone) {
  Ends ends;
  AsyncEngine engine = start();
  const std::vector<int32_t> whole = load({.threads = 1}).generate(request(9, 50)).output_ids;
  engine.submit(request(9, 50), ends.hear(0));
  Request in_prefill = request(1, 50, 200);
  in_prefill.on_prefill = [](int, int) -> bool { throw std::runtime_error("prefill"); };
  engine.submit(in_prefill, ends.hear(1));
  // At its first token, which may be the last one too: then nothing more would come of it.
  for (const int tokens : {50, 1}) {
    Request in_step = request(2, tokens);
    in_step.on_step = [](const Step&) -> bool { throw 1; };
    engine.submit(in_step, ends.hear(2));
  }
  Request at_last = request(3, 5);
  at_last.options.mode = Mode::kAr;
  at_last.on_step = [left = 5](const Step&) mutable -> bool {
    if (--left == 0) throw std::bad_alloc();
    return true;
  };
  engine.submit(at_last, ends.hear(3));
  engine.submit(request(4, 5), [hear = ends.hear(4)](Generation g) {
    hear(std::move(g));
    throw std::runtime_error("done");
  });
  engine.submit(request(9, 50), ends.hear(5));
  const std::vector<Generation> got = ends.wait(7);
  const std::vector<int> order = ends.order();
  for (size_t i = 0; i < got.size(); ++i) {
    const bool throws = order[i] >= 1 && order[i] <= 3;
    EXPECT_EQ(got[i].finish_reason, throws ? FinishReason::kCancelled : FinishReason::kLength)
        << order[i];
    EXPECT_EQ(got[i].status, Status::kOk);
    if (order[i] == 0 || order[i] == 5) {
      EXPECT_EQ(got[i].output_ids, whole);
    }
  }
  expect_idle(engine);
}

// Where it has ended anyway, and nothing else happens that its end could be noticed with.
TEST_F(Async, ACallbackMayThrowAtTheVeryEnd) {
  Ends ends;
  AsyncEngine engine = start();
  Request r = request(2, 1);
  r.on_step = [](const Step&) -> bool { throw std::runtime_error("enough"); };
  engine.submit(r, ends.hear(0));
  EXPECT_EQ(ends.wait(1)[0].finish_reason, FinishReason::kCancelled);
  expect_idle(engine);
}

TEST_F(Async, SaysWhatItDoes) {
  AsyncEngine engine = start(2, 10);
  EXPECT_EQ(engine.load().batch, 2);
  EXPECT_GT(start(0).load().batch, 2);  // the engine's own default
  EXPECT_EQ(engine.load().cache_pages, 10);
  expect_idle(engine);
  EXPECT_EQ(engine.load().prefix_queries, 0u);
  for (const uint64_t hits : {0u, 99u}) {
    Ends ends;
    Request r = request(1, 2, 100);
    EngineLoad within;
    r.on_step = [&](const Step&) {
      within = engine.load();
      return true;
    };
    engine.submit(r, ends.hear(0));
    const Generation g = ends.wait(1)[0];
    EXPECT_EQ(g.stats.cached_tokens, static_cast<int>(hits));
    EXPECT_EQ(within.waiting, 0);
    EXPECT_EQ(engine.load().prefix_hits, hits);
    EXPECT_EQ(engine.load().cached_pages, 2);
  }
  EXPECT_EQ(engine.load().prefix_queries, 200u);
  EXPECT_EQ(engine.load().preemptions, 0u);
  expect_idle(engine);
}

// While the first one's callback is waited for, nothing begins.
TEST_F(Async, WhatWaitsBeginsByPriorityAndThenInOrder) {
  Ends ends;
  AsyncEngine engine = start(1);
  Event all_wait, first_runs;
  Request first = request(0, 2);
  std::once_flag once;
  first.on_step = [&](const Step&) {
    std::call_once(once, [&] {
      first_runs.happen();
      all_wait.wait();
    });
    return true;
  };
  engine.submit(first, ends.hear(0));
  first_runs.wait();
  int number = 0;
  for (const int priority : {0, 5, -5, 0, 5, -5}) {
    Request r = request(++number, 2);
    r.options.priority = priority;
    engine.submit(r, ends.hear(number));
  }
  EXPECT_EQ(engine.load().waiting, 6);
  all_wait.happen();
  ends.wait(7);
  EXPECT_EQ(ends.order(), (std::vector{0, 3, 6, 1, 4, 2, 5}));
  expect_idle(engine);
}

TEST_F(Async, WhatCanNeverFitIsRefused) {
  AsyncEngine engine = start(0, 2);
  EXPECT_EQ(engine.engine().config().max_position_embeddings, 128);
  const auto nothing = [](Generation) { ADD_FAILURE() << "it was refused"; };
  EXPECT_THROW(engine.submit(request(1, 1, 128), nothing), Error);
  Ends ends;
  engine.submit(request(1, 1000, 120), ends.hear(0));
  EXPECT_EQ(ends.wait(1)[0].output_ids.size(), 8u);
  expect_idle(engine);
}

// All of a small cache is what one request needs, and what another has left behind: there is no
// page to copy what they share into.
TEST_F(Async, WhatTheWholeCacheHoldsMakesRoom) {
  AsyncEngine engine = start(0, 2);
  const Engine fresh = load({.threads = 1});
  for (const int prompt : {100, 127, 100, 65, 64, 63, 100}) {
    for (const int again : {0, 1}) {
      const Request r = request(1, 128 - prompt, prompt);
      Ends ends;
      engine.submit(r, ends.hear(again));
      const Generation g = ends.wait(1)[0];
      EXPECT_EQ(g.status, Status::kOk) << prompt;
      Request plain = r;
      plain.options.mode = Mode::kAr;
      plain.options.cache_salt = "plain";
      EXPECT_EQ(g.output_ids, fresh.generate(plain).output_ids) << prompt;
    }
  }
  expect_idle(engine);
}

// They are all there before any has begun: the first one computes the prompt for the others.
TEST_F(Async, ThoseWithOnePromptWaitForOnePrefill) {
  Ends ends;
  AsyncEngine engine = start();
  Event all_wait, first_runs;
  Request first = request(0, 2);
  std::once_flag once;
  first.on_step = [&](const Step&) {
    std::call_once(once, [&] {
      first_runs.happen();
      all_wait.wait();
    });
    return true;
  };
  engine.submit(first, ends.hear(0));
  first_runs.wait();
  const auto submit = [&](int number, const char* salt) {
    Request r = request(1, 10, 130);
    r.options.prefill_chunk = 7;
    r.options.cache_salt = salt;
    engine.submit(r, ends.hear(number));
  };
  for (int i = 1; i <= 5; ++i) submit(i, "");
  submit(6, "another");
  all_wait.happen();
  const std::vector<Generation> got = ends.wait(7);
  const std::vector<int> order = ends.order();
  const std::vector<int32_t>* tokens = nullptr;
  for (size_t i = 0; i < got.size(); ++i) {
    if (order[i] == 0) continue;
    const bool computes = order[i] == 1 || order[i] == 6;
    EXPECT_EQ(got[i].stats.cached_tokens, computes ? 0 : 129) << order[i];
    EXPECT_EQ(got[i].stats.prefill_passes, computes ? 19 : 1) << order[i];
    if (tokens == nullptr) tokens = &got[i].output_ids;
    EXPECT_EQ(got[i].output_ids, *tokens);
  }
  expect_idle(engine);
}

// One that decodes needs the pages of another, which is at its prompt and computes it again later.
TEST_F(Async, APromptThatIsComputedAgainIsNotToldAgain) {
  const AsyncEngine engine = start(0, 5);
  Request decodes = request(1, 200);
  decodes.options.mode = Mode::kAr;
  Request gives_way = request(2, 5, 150);
  gives_way.options.prefill_chunk = 1;
  std::vector<int> told;
  gives_way.on_prefill = [&](int done, int) {
    told.push_back(done);
    return true;
  };
  const std::vector<Generation> got = engine.engine().generate(std::vector{decodes, gives_way});
  EXPECT_EQ(got[1].output_ids.size(), 5u);
  EXPECT_GT(got[1].stats.preemptions, 0);
  EXPECT_GT(got[1].stats.prefill_passes, 150);
  EXPECT_EQ(std::ranges::adjacent_find(told, std::greater_equal()), told.end());
  EXPECT_EQ(told.back(), 150);
}

// Two have room beside each other, and a page or two are left now and then. Branches of trees may
// have those, but not what the other one needs for its own tokens.
TEST_F(Async, NobodyGivesWayForBranches) {
  const AsyncEngine engine = start(0, 4);
  for (const int nodes : {2, 3, 4, 8}) {
    std::vector<Request> requests;
    for (int i = 0; i < 2; ++i) {
      const int prompt = i == 0 ? 40 : 60;
      Request& r = requests.emplace_back(request(nodes + i, 128 - prompt, prompt));
      r.options.mode = Mode::kDual;
      r.options.tree_nodes = nodes;
    }
    for (const Generation& got : engine.engine().generate(requests)) {
      EXPECT_EQ(got.status, Status::kOk);
      EXPECT_EQ(got.stats.preemptions, 0) << nodes;
    }
  }
}

// The cache is full of what earlier requests left behind.
TEST_F(Async, TreesCostLittleOfWhatIsRemembered) {
  constexpr int kPages = 40, kPrompts = 13, kPromptPages = 3;
  const AsyncEngine engine = start(0, kPages);
  const auto remember = [&] {
    for (int i = 0; i < kPrompts; ++i) {
      engine.engine().generate(request(i, 1, kPromptPages * 64));
    }
    const int64_t cached = engine.load().cached_pages;
    EXPECT_GE(cached, kPages - kPromptPages);
    return cached;
  };
  for (const int nodes : {2, 127}) {
    const int64_t before = remember();
    Request r = request(200, 40);
    r.options.mode = Mode::kDual;
    r.options.tree_nodes = nodes + 1;
    if (nodes == 2) r.options.block_size = 2;  // beside the likeliest token another one: a branch
    int trees = 0;
    r.on_step = [&](const Step& step) {
      trees += step.source == DraftSource::kTree && step.drafted == nodes;
      return true;
    };
    const Generation got = engine.engine().generate(r);
    EXPECT_EQ(got.output_ids.size(), 40u);
    EXPECT_EQ(got.stats.cached_tokens, 0);
    // The text's own page, and an eighth for branches.
    EXPECT_GE(engine.load().cached_pages, before - 1 - kPages / 8) << nodes;
    if (nodes == 2) {
      EXPECT_GT(trees, 15);
    }
  }
}

// All of them begin together, the long one first. Nobody says how much of a prompt is in one pass.
TEST_F(Async, AShortPromptDoesNotWaitForALongOneNorTheLongOneForAllShortOnes) {
  constexpr int kLong = 900, kShort = 24;
  const AsyncEngine engine = start(kShort + 1);
  std::vector<size_t> order;  // as their first tokens come
  std::vector<int> done(kShort + 1), done_at_first_token;
  std::vector<Request> requests;
  for (size_t i = 0; i <= kShort; ++i) {
    Request& r = requests.emplace_back(request(static_cast<int32_t>(i), 3, i == 0 ? kLong : 100));
    r.on_prefill = [&, i](int so_far, int) {
      done[i] = so_far;
      return true;
    };
    r.on_step = [&, i, first = true](const Step&) mutable {
      if (std::exchange(first, false)) {
        order.push_back(i);
        done_at_first_token.push_back(done[0]);
      }
      return true;
    };
  }
  engine.engine().generate(requests);
  ASSERT_EQ(order.size(), requests.size());
  EXPECT_NE(order.front(), 0u);
  EXPECT_LT(done_at_first_token.front(), kLong / 2);
  EXPECT_NE(order.back(), 0u);
}

// Another one's prompt begins alike, and goes on for long.
TEST_F(Async, OneThatSharesABeginningWaitsForThatAlone) {
  const AsyncEngine engine = start();
  Request leads = request(1, 3, 900);
  leads.options.prefill_chunk = 50;
  Request follows = leads;
  follows.prompt.resize(200);
  follows.prompt.back() = 0;
  follows.options.max_tokens = 40;
  int led = 0, led_at_first_token = 0;
  leads.on_prefill = [&](int done, int) {
    led = done;
    return true;
  };
  follows.on_step = [&, first = true](const Step&) mutable {
    if (std::exchange(first, false)) led_at_first_token = led;
    return true;
  };
  const std::vector<Generation> got = engine.engine().generate(std::vector{leads, follows});
  EXPECT_EQ(got[0].stats.cached_tokens, 0);
  EXPECT_EQ(got[1].stats.cached_tokens, 199);
  EXPECT_LT(led_at_first_token, 500);
  Request alone = follows;
  alone.on_step = {};
  alone.options.cache_salt = "alone";
  const Generation computed = engine.engine().generate(alone);
  EXPECT_EQ(computed.stats.cached_tokens, 0);
  EXPECT_EQ(got[1].output_ids, computed.output_ids);
}

TEST_F(Async, ACallbackMayGenerate) {
  Ends ends;
  AsyncEngine engine = start(2);
  const Request inner = request(2, 10);
  const std::vector<int32_t> want = load({.threads = 1}).generate(inner).output_ids;
  int generated = 0;
  for (int i = 0; i < 4; ++i) {
    Request outer = request(3 + i, 20);
    outer.on_step = [&, left = 3](const Step&) mutable {
      if (left-- <= 0) return true;
      EXPECT_EQ(engine.engine().generate(inner).output_ids, want);
      ++generated;
      return true;
    };
    engine.submit(outer, ends.hear(i));
  }
  for (const Generation& g : ends.wait(4)) EXPECT_EQ(g.output_ids.size(), 20u);
  EXPECT_EQ(generated, 12);
  expect_idle(engine);
}

TEST_F(Async, AnEngineThatWasMovedFromIsRefused) {
  Engine engine = load({.threads = 1});
  const Engine moved = std::move(engine);
  EXPECT_THROW(AsyncEngine(std::move(engine)), Error);
}

// While this engine's thread is in a callback, generate() of another thread runs the passes of
// both.
TEST_F(Async, SharesPassesWithOtherThreads) {
  AsyncEngine engine = start();
  Event began, others_are_done;
  Request r = request(1, 20);
  std::vector<int32_t> streamed;
  r.on_step = [&](const Step& step) {
    if (streamed.empty()) {
      began.happen();
      others_are_done.wait();
    }
    streamed.insert(streamed.end(), step.tokens.begin(), step.tokens.end());
    return true;
  };
  Ends ends;
  engine.submit(r, ends.hear(0));
  began.wait();
  EXPECT_EQ(engine.load().running, 1);
  Request longer = request(2, 60);
  longer.options.mode = Mode::kAr;
  EXPECT_EQ(engine.engine().generate(longer).output_ids.size(), 60u);
  EXPECT_EQ(engine.load().running, 0);  // its own is computed too, and waits to be told
  others_are_done.happen();
  EXPECT_EQ(ends.wait(1)[0].output_ids, streamed);
  EXPECT_EQ(streamed.size(), 20u);
  expect_idle(engine);
}

}  // namespace
}  // namespace orthrus
