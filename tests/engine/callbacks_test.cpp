// What callbacks may do, and what becomes of what they throw.
#include <gtest/gtest.h>

#include <atomic>
#include <new>
#include <optional>
#include <thread>
#include <utility>

#include "orthrus/engine.h"
#include "orthrus/error.h"
#include "support/expect_error_parts.h"

namespace orthrus {
namespace {

class Callbacks : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    engine_ =
        std::make_unique<Engine>(Engine::load(std::filesystem::path(ORTHRUS_MODELS) / "tiny-code"));
  }
  static void TearDownTestSuite() { engine_.reset(); }

  static Request request(int prompt_tokens = 10) {
    Request r;
    for (int i = 0; i < prompt_tokens; ++i) r.prompt.push_back(100 + i);
    r.options.max_tokens = 30;
    r.options.ignore_eos = true;
    r.options.prefill_chunk = 4;
    return r;
  }
  // Every place where a callback is called does `action` once.
  static std::vector<Request> acting(const std::function<void()>& action) {
    std::vector<Request> requests(2, request());
    requests[0].on_prefill = [action, done = false](int, int) mutable {
      if (!std::exchange(done, true)) action();
      return true;
    };
    requests[1].on_step = [action, done = false](const Step&) mutable {
      if (!std::exchange(done, true)) action();
      return true;
    };
    return requests;
  }

  static inline std::unique_ptr<Engine> engine_;
};

TEST_F(Callbacks, TheSessionThatGeneratesRefusesThem) {
  const std::vector<int32_t> want = engine_->generate(request()).output_ids;
  Session session = engine_->start_session();
  for (const Request& r : acting([&] { session.generate(request(100)); })) {
    test::expect_error_parts([&] { session.generate(r); }, ErrorKind::kUsage,
                             {"This session is generating"});
    EXPECT_EQ(session.generate(request()).output_ids, want);
  }
  // A callback that takes the error goes on.
  int refused = 0;
  for (const Request& r : acting([&] {
         try {
           session.generate(request(100));
         } catch (const Error&) {
           ++refused;
         }
       })) {
    EXPECT_EQ(session.generate(r).output_ids, want);
  }
  EXPECT_EQ(refused, 2);
}

TEST_F(Callbacks, ASessionIsForOneThreadAtATime) {
  Session session = engine_->start_session();
  Request r = request();
  r.on_step = [&](const Step&) {
    std::jthread([&] { EXPECT_THROW(session.generate(request()), Error); }).join();
    return true;
  };
  EXPECT_EQ(session.generate(r).output_ids, engine_->generate(request()).output_ids);
}

TEST_F(Callbacks, MayUseTheEngineAndOtherSessions) {
  const std::vector<int32_t> want = engine_->generate(request()).output_ids;
  const std::vector<int32_t> want_inside = engine_->generate(request(50)).output_ids;
  Session session = engine_->start_session(), other = engine_->start_session();
  int used = 0;
  const auto use = [&] {
    ++used;
    EXPECT_EQ(other.generate(request(50)).output_ids, want_inside);
    EXPECT_EQ(engine_->generate(request(50)).output_ids, want_inside);
  };
  for (const Request& r : acting(use)) EXPECT_EQ(session.generate(r).output_ids, want);
  for (const Request& r : acting(use)) EXPECT_EQ(engine_->generate(r).output_ids, want);
  EXPECT_EQ(used, 4);
}

TEST_F(Callbacks, MayDestroyWhatGenerates) {
  const std::vector<int32_t> want = engine_->generate(request()).output_ids;
  std::optional<Session> session;
  for (const Request& r : acting([&] { session.reset(); })) {
    session.emplace(engine_->start_session());
    EXPECT_EQ(session->generate(r).output_ids, want);
    EXPECT_FALSE(session.has_value());
  }
  std::optional<Engine> engine;
  for (const Request& r : acting([&] { engine.reset(); })) {
    engine.emplace(Engine::load(std::filesystem::path(ORTHRUS_MODELS) / "tiny-code"));
    EXPECT_EQ(engine->generate(r).output_ids, want);
    EXPECT_FALSE(engine.has_value());
  }
}

TEST_F(Callbacks, WhatTheyThrowComesOut) {
  Session session = engine_->start_session();
  const auto fail = [] { throw std::bad_alloc(); };
  for (const Request& r : acting(fail)) EXPECT_THROW(engine_->generate(r), std::bad_alloc);
  for (const Request& r : acting(fail)) EXPECT_THROW(session.generate(r), std::bad_alloc);
  EXPECT_EQ(session.generate(request()).output_ids, engine_->generate(request()).output_ids);
}

TEST_F(Callbacks, WhatWasMovedFromRefuses) {
  Engine first = Engine::load(std::filesystem::path(ORTHRUS_MODELS) / "tiny-code");
  Session session = first.start_session();
  const Engine second = std::move(first);
  const Session other = std::move(session);
  const auto refuses = [](const auto& use) {
    test::expect_error_parts(use, ErrorKind::kUsage, {"was moved from"});
  };
  const int32_t ids[] = {1, 2};
  const PassShape shape;
  // NOLINTBEGIN(bugprone-use-after-move)
  refuses([&] { first.generate(request()); });
  refuses([&] { first.config(); });
  refuses([&] { first.encode("x"); });
  refuses([&] { first.score(ids); });
  refuses([&] { first.measure(std::span(&shape, 1), 1); });
  refuses([&] { first.start_session(); });
  refuses([&] { session.generate(request()); });
  // NOLINTEND(bugprone-use-after-move)
}

}  // namespace
}  // namespace orthrus
