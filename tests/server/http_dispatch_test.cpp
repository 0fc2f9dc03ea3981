// From an exchange to the engine and back: limits, cancellation, metrics.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <new>
#include <nlohmann/json.hpp>
#include <thread>

#include "orthrus/error.h"
#include "server/api/error.h"
#include "server/dispatch.h"
#include "server/metrics.h"

namespace orthrus::server {
namespace {

// An exchange without HTTP, that remembers what it was told.
class FakeExchange : public Exchange {
 public:
  const HttpRequest& request() const override { return request_; }
  std::string take_body() override { return {}; }
  void respond(int status, std::string_view, std::string, Headers) override {
    const std::lock_guard lock(mutex);
    if (status_ == 0) status_ = status;
  }
  void fail(const ApiError& error, Headers extra) override {
    const std::lock_guard lock(mutex);
    if (status_ == 0) {
      status_ = error.status;
      extra_ = std::move(extra);
    }
  }
  void begin_stream(int, std::string_view, Headers) override {}
  void write(std::string) override {}
  void end() override {}
  void on_close(std::function<void()> callback) override { close = std::move(callback); }
  void run_elsewhere(std::function<void()> work) override { work(); }
  void note(std::string text) override {
    const std::lock_guard lock(mutex);
    note_ = std::move(text);
  }

  std::function<void()> close;
  std::mutex mutex;
  HttpRequest request_;
  int status_ = 0;
  Headers extra_;
  std::string note_;
};

// Callbacks that can be waited for.
class Outcome {
 public:
  Dispatcher::Callbacks callbacks() {
    return {.on_step =
                [this](const Step& step) {
                  std::unique_lock lock(mutex_);
                  tokens_ += static_cast<int>(step.tokens.size());
                  changed_.notify_all();
                  changed_.wait(lock, [&] { return !held_; });
                },
            .on_done =
                [this](Generation generation) {
                  const std::lock_guard lock(mutex_);
                  generation_ = std::move(generation);
                  changed_.notify_all();
                }};
  }
  void hold() { set_held(true); }  // the engine, in its next step
  void release() { set_held(false); }
  void wait_for_tokens() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return tokens_ > 0; });
  }
  Generation wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return generation_.has_value(); });
    return *generation_;
  }
  bool is_done() {
    const std::lock_guard lock(mutex_);
    return generation_.has_value();
  }

 private:
  void set_held(bool held) {
    const std::lock_guard lock(mutex_);
    held_ = held;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
  int tokens_ = 0;
  std::optional<Generation> generation_;
};

class Dispatch : public testing::Test {
 protected:
  static constexpr int kTokens = 24;
  static constexpr int kBatch = 3;

  void start(DispatchLimits limits) {
    dispatcher_ = std::make_unique<Dispatcher>(*engine_, metrics_, ServerInfo{}, limits);
  }
  ~Dispatch() override { engine_.reset(); }  // before the dispatcher

  Request request(int tokens = kTokens) const {
    Request request;
    request.prompt = engine_->engine().encode("def fibonacci(n):");
    request.options.max_tokens = tokens;
    request.options.ignore_eos = true;
    return request;
  }

  std::shared_ptr<FakeExchange> exchange() const { return std::make_shared<FakeExchange>(); }

  bool submit(const std::shared_ptr<FakeExchange>& exchange, Outcome& outcome,
              int tokens = kTokens) {
    return dispatcher_->submit(exchange, {request(tokens)}, {outcome.callbacks()});
  }

  void wait_until_idle() const {
    while (!dispatcher_->idle()) std::this_thread::yield();
  }

  std::string metrics() { return metrics_.text(dispatcher_->load()); }

  Metrics metrics_{"tiny", 32};
  std::unique_ptr<AsyncEngine> engine_ = std::make_unique<AsyncEngine>(
      Engine::load(ORTHRUS_MODELS "/tiny-code", {.max_batch = kBatch}));
  std::unique_ptr<Dispatcher> dispatcher_;
};

TEST_F(Dispatch, GivesTheAnswerOfTheEngine) {
  start({});
  Outcome outcome;
  const auto one = exchange();
  ASSERT_TRUE(submit(one, outcome));
  const Generation expected = engine_->engine().generate(request());
  EXPECT_EQ(outcome.wait().output_ids, expected.output_ids);
  wait_until_idle();
  const auto prompt = request().prompt.size();
  EXPECT_TRUE(one->note_.starts_with(fmt::format("prompt={} cached=0 tokens=24 ", prompt)))
      << one->note_;
  EXPECT_TRUE(one->note_.ends_with(" finish=length")) << one->note_;
}

TEST_F(Dispatch, SeveralChoicesAreOneAnswer) {
  start({.max_queue = 1});
  Outcome first, second;
  const auto both = exchange();
  ASSERT_TRUE(
      dispatcher_->submit(both, {request(), request(8)}, {first.callbacks(), second.callbacks()}));
  EXPECT_EQ(first.wait().output_ids.size(), 24u);
  EXPECT_EQ(second.wait().output_ids.size(), 8u);
  wait_until_idle();
  EXPECT_NE(both->note_.find(" tokens=32 "), std::string::npos) << both->note_;
}

TEST_F(Dispatch, WhatIsWrongThrowsBeforeAnythingBegins) {
  start({});
  Outcome outcome;
  Request wrong = request();
  wrong.options.max_tokens = 0;
  EXPECT_THROW(dispatcher_->submit(exchange(), {request(), wrong},
                                   {outcome.callbacks(), outcome.callbacks()}),
               Error);
  EXPECT_TRUE(dispatcher_->idle());
}

TEST_F(Dispatch, ClientsThatGoEndTheirRequests) {
  start({});
  Outcome outcome;
  const auto one = exchange();
  outcome.hold();
  ASSERT_TRUE(submit(one, outcome, 800));
  outcome.wait_for_tokens();
  one->close();
  outcome.release();
  wait_until_idle();
  EXPECT_FALSE(outcome.is_done());
  EXPECT_TRUE(one->note_.ends_with(" finish=cancelled")) << one->note_;
  one->close();  // once more, when it is done
  EXPECT_NE(metrics().find("finished_reason=\"abort\",model_name=\"tiny\"} 1\n"),
            std::string::npos);
}

// What fits into a batch is no queue, though it has not begun: while the engine is held in a step,
// nothing that comes does.
TEST_F(Dispatch, RefusesWhatTheQueueHasNoRoomFor) {
  start({.max_queue = 2});
  Outcome held, late;
  held.hold();
  ASSERT_TRUE(submit(exchange(), held));
  held.wait_for_tokens();
  std::vector<std::unique_ptr<Outcome>> others;
  for (int i = 1; i < kBatch + 2; ++i) {
    others.push_back(std::make_unique<Outcome>());
    EXPECT_TRUE(submit(exchange(), *others.back())) << i;
  }
  const auto refused = exchange();
  EXPECT_FALSE(submit(refused, late));
  EXPECT_EQ(refused->status_, 429);
  EXPECT_TRUE(refused->extra_.find("Retry-After"));
  held.release();
  for (const auto& other : others) other->wait();
  wait_until_idle();
  EXPECT_TRUE(submit(exchange(), late));
  late.wait();
}

TEST_F(Dispatch, AChoiceThatFailsEndsTheOthers) {
  start({});
  Outcome other, same;
  std::vector<int> statuses;
  const auto fail = [&](const ApiError& error) { statuses.push_back(error.status); };
  const auto broken = exchange();
  ASSERT_TRUE(dispatcher_->submit(
      broken, {request(), request(1900)},
      {{.on_step = [](const Step&) { throw std::runtime_error("broken"); }, .on_done = {}},
       other.callbacks()},
      fail));
  wait_until_idle();
  EXPECT_EQ(statuses, std::vector<int>{500});
  EXPECT_FALSE(other.is_done());
  EXPECT_TRUE(broken->note_.ends_with(" finish=failed")) << broken->note_;
  ASSERT_TRUE(submit(exchange(), same));
  EXPECT_EQ(same.wait().output_ids.size(), 24u);
}

TEST_F(Dispatch, EndsWhatTakesTooLong) {
  start({.timeout = std::chrono::milliseconds(1)});
  Outcome held, waiting;
  for (Outcome* outcome : {&held, &waiting}) outcome->hold();  // whichever comes to a step
  const auto one = exchange(), other = exchange();
  ASSERT_TRUE(submit(one, held, 800));
  ASSERT_TRUE(submit(other, waiting));
  for (const auto& late : {one, other}) {
    for (int status = 0; status == 0; std::this_thread::yield()) {
      const std::lock_guard lock(late->mutex);
      status = late->status_;
    }
    EXPECT_EQ(late->status_, 504);
  }
  for (Outcome* outcome : {&held, &waiting}) outcome->release();
  wait_until_idle();
  EXPECT_FALSE(held.is_done() || waiting.is_done());
  EXPECT_TRUE(one->note_.ends_with(" finish=timeout")) << one->note_;
}

// A stream is told by its own callback.
TEST_F(Dispatch, SaysThatATimeoutIsOne) {
  start({.timeout = std::chrono::milliseconds(1)});
  Outcome held;
  std::optional<ApiError> told;
  held.hold();
  const auto one = exchange();
  ASSERT_TRUE(dispatcher_->submit(one, {request(800)}, {held.callbacks()},
                                  [&](const ApiError& error) { told = error; }));
  for (bool late = false; !late; std::this_thread::yield()) {
    const std::lock_guard lock(one->mutex);
    late = one->status_ != 0;
  }
  held.release();
  wait_until_idle();
  ASSERT_TRUE(told);
  EXPECT_EQ(told->status, 504);
  EXPECT_EQ(told->type, "timeout_error");
  EXPECT_EQ(told->message, "The request took longer than 0.001 s.");
}

TEST_F(Dispatch, DrainsAndCancels) {
  start({});
  Outcome held, refused;
  held.hold();
  const auto running = exchange();
  ASSERT_TRUE(submit(running, held, 800));
  held.wait_for_tokens();
  dispatcher_->drain();
  const auto late = exchange();
  EXPECT_FALSE(submit(late, refused));
  EXPECT_EQ(late->status_, 503);
  EXPECT_FALSE(dispatcher_->idle());
  dispatcher_->cancel_all();
  held.release();
  wait_until_idle();
  EXPECT_FALSE(held.is_done());
  EXPECT_EQ(running->status_, 503);
  EXPECT_TRUE(running->note_.ends_with(" finish=shutdown")) << running->note_;
}

TEST_F(Dispatch, CallbacksThatThrowEndTheirRequestAlone) {
  start({});
  const auto broken = exchange();
  Outcome good;
  ASSERT_TRUE(dispatcher_->submit(broken, {request()}, {{.on_step = {}, .on_done = [](Generation) {
                                                           throw std::runtime_error("broken");
                                                         }}}));
  ASSERT_TRUE(submit(exchange(), good));
  EXPECT_EQ(good.wait().output_ids.size(), 24u);
  wait_until_idle();
  EXPECT_EQ(broken->status_, 500);
}

// As for want of memory: nobody waits for it for ever, and the exchange is let go.
TEST_F(Dispatch, AnEndThatCannotBeToldIsAnEnd) {
  class Forgetful final : public FakeExchange {
    void note(std::string) override { throw std::bad_alloc(); }
  };
  start({});
  Outcome outcome;
  auto one = std::make_shared<Forgetful>();
  const std::weak_ptr<Forgetful> held = one;
  ASSERT_TRUE(submit(one, outcome));
  wait_until_idle();
  one.reset();
  while (!held.expired()) std::this_thread::yield();
}

TEST_F(Dispatch, CountsUnderTheNamesOfVllm) {
  start({});
  Outcome outcome;
  Request draft = request();
  draft.options.mode = Mode::kDual;
  ASSERT_TRUE(dispatcher_->submit(exchange(), {draft}, {outcome.callbacks()}));
  const Generation done = outcome.wait();
  wait_until_idle();
  const std::string text = metrics();
  const auto expect_line = [&](const std::string& line) {
    EXPECT_NE(text.find(line + '\n'), std::string::npos) << line;
  };
  const auto sample = [](const char* name, double value, const char* label = "") {
    return fmt::format("vllm:{}{{engine=\"0\",{}model_name=\"tiny\"}} {:g}", name, label, value);
  };
  expect_line("# TYPE vllm:prompt_tokens_total counter");
  expect_line(sample("prompt_tokens_total", static_cast<double>(draft.prompt.size())));
  expect_line(sample("generation_tokens_total", 24));
  expect_line(sample("num_requests_running", 0));
  expect_line(sample("num_requests_waiting", 0));
  expect_line("# TYPE vllm:kv_cache_usage_perc gauge");
  expect_line("# TYPE vllm:prefix_cache_queries_total counter");
  expect_line("# TYPE vllm:prefix_cache_hits_total counter");
  expect_line(sample("request_success_total", 1, "finished_reason=\"length\","));
  expect_line(sample("request_success_total", 0, "finished_reason=\"stop\","));
  expect_line("# TYPE vllm:time_to_first_token_seconds histogram");
  expect_line(sample("time_to_first_token_seconds_count", 1));
  expect_line(
      "vllm:time_to_first_token_seconds_bucket{engine=\"0\",model_name=\"tiny\",le=\"+Inf\"} 1");
  expect_line(sample("e2e_request_latency_seconds_count", 1));
  expect_line(sample("request_queue_time_seconds_count", 1));
  expect_line("# TYPE vllm:inter_token_latency_seconds histogram");
  expect_line(sample("spec_decode_num_accepted_tokens_total", done.stats.accepted));
  EXPECT_NE(text.find("vllm:spec_decode_num_accepted_tokens_per_pos_total{"), std::string::npos);
  EXPECT_NE(text.find("position=\"0\""), std::string::npos);
  expect_line("# TYPE vllm:spec_decode_num_drafts_total counter");
  expect_line("# TYPE vllm:spec_decode_num_draft_tokens_total counter");
}

}  // namespace
}  // namespace orthrus::server
