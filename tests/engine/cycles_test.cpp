// Whole cycles: what a device that runs them by itself gives is what passes give one by one.
#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "backends/cpu/cpu_model.h"
#include "engine/engine_impl.h"
#include "support/cache_pages.h"
#include "support/fresh_seed.h"
#include "support/model.h"
#include "support/pass_cycles.h"
#include "support/wrapped_model.h"

namespace orthrus {
namespace {

// As long as each of two in a cycle, whatever its rows.
class TimedPass final : public ForwardPass {
 public:
  explicit TimedPass(ForwardPass& pass) : pass_(&pass) {}
  Status run(std::span<const Span> spans) override { return pass_->run(spans); }
  HeadRows head_rows(size_t span) const override { return pass_->head_rows(span); }
  double seconds() const override { return PassCycles::kSeconds; }

 private:
  ForwardPass* pass_;
};

class CycleLane final : public Lane {
 public:
  CycleLane(std::unique_ptr<Lane> lane, int32_t mask)
      : lane_(std::move(lane)), pass_(lane_->pass()), cycles_(pass_, mask) {}
  KvPool& pool() override { return lane_->pool(); }
  ForwardPass& pass() override { return pass_; }
  CycleRunner* cycles() override { return &cycles_; }
  void copy_page(const std::byte* from, std::byte* to) override { lane_->copy_page(from, to); }
  void fill_cache(const KvSequence& sequence) override { lane_->fill_cache(sequence); }
  PassCycles& fake() { return cycles_; }

 private:
  std::unique_ptr<Lane> lane_;
  TimedPass pass_;
  PassCycles cycles_;
};

int looked_up(const Generation& g) {
  return std::accumulate(g.stats.lookup.begin(), g.stats.lookup.end(), 0);
}

class CycleModel final : public WrappedModel {
 public:
  using WrappedModel::WrappedModel;
  std::unique_ptr<Lane> start(size_t pages) const override {
    auto lane = std::make_unique<CycleLane>(model_->start(pages), config().mask_token_id);
    cycles = &lane->fake();
    return lane;
  }
  mutable PassCycles* cycles = nullptr;  // of the last lane
};

class WithoutHeads final : public WrappedModel {
 public:
  explicit WithoutHeads(const DeviceModel& model) : WrappedModel(model), config_(model.config()) {
    config_.block_size = 0;
    config_.mask_token_id = -1;
  }
  const ModelConfig& config() const override { return config_; }

 private:
  ModelConfig config_;
};

// An engine on a processor that runs whole cycles.
class CycleEngine {
 public:
  explicit CycleEngine(const DeviceModel& model, const EngineOptions& options = {}) {
    auto cycling = std::make_unique<CycleModel>(model);
    model_ = cycling.get();
    engine_.emplace(
        std::make_shared<const Engine::Impl>(std::move(cycling), std::nullopt, 2, options));
    engine_->start_session();  // so that there is a lane
  }
  const Engine* operator->() const { return &*engine_; }
  PassCycles& fake() { return *model_->cycles; }

 private:
  CycleModel* model_ = nullptr;
  std::optional<Engine> engine_;
};

class WholeCycles : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    model_ = std::make_unique<CpuModel>(
        load_model(std::filesystem::path(ORTHRUS_MODELS) / "tiny-code"), 2);
  }
  static void TearDownTestSuite() { model_.reset(); }

  static std::vector<Generation> generate(const CycleEngine& engine,
                                          std::span<const Request> requests) {
    return engine->generate(requests);
  }
  static std::vector<Generation> by_passes(std::span<const Request> requests) {
    const Engine engine(std::make_shared<const Engine::Impl>(
        std::make_unique<WrappedModel>(*model_), std::nullopt, 2, EngineOptions{}));
    return engine.generate(requests);
  }

  // Of prompts that begin like code, a few lengths and ways of sampling.
  static std::vector<Request> requests(std::mt19937& random, int count) {
    std::vector<Request> requests(static_cast<size_t>(count));
    for (Request& r : requests) {
      r.prompt.resize(1 + random() % 60);
      for (int32_t& id : r.prompt) id = static_cast<int32_t>(4 + random() % 4000);
      r.options.max_tokens = static_cast<int>(1 + random() % 80);
      r.options.mode = std::array{Mode::kAr, Mode::kDual, Mode::kAuto}[random() % 3];
      if (r.options.mode != Mode::kAr && random() % 2 == 0) {
        r.options.tree_nodes = static_cast<int>(2 + random() % 63);
      }
      if (random() % 2 == 0) {
        r.options.sampling = {.temperature = 0.8f, .top_k = 40, .seed = random()};
      }
      if (random() % 2 == 0) {
        r.options.sampling.repetition_penalty = 1.2f;
        r.options.sampling.frequency_penalty = 0.3f;
      }
    }
    return requests;
  }

  // Whose drafts are often right.
  static Request easy_request(int max_tokens) {
    Request request;
    request.prompt = {100, 200, 300, 400};
    request.options.max_tokens = max_tokens;
    request.options.mode = Mode::kDual;
    return request;
  }

  static Request request_that_repeats_itself(std::mt19937& random) {
    Request request;
    const size_t period = 5 + random() % 20;
    for (size_t i = 0; i < 4 * period; ++i) {
      request.prompt.push_back(i < period ? static_cast<int32_t>(4 + random() % 4000)
                                          : request.prompt[i - period]);
    }
    request.options.max_tokens = 120;
    request.options.ignore_eos = true;
    return request;
  }

  static inline std::unique_ptr<CpuModel> model_;
};

TEST_F(WholeCycles, GiveWhatPassesGive) {
  std::mt19937 random(test::fresh_seed());
  CycleEngine engine(*model_);
  int accepted = 0;
  for (int round = 0; round < 4; ++round) {
    std::vector<Request> asked = requests(random, 1 + round % 3);
    if (round == 0) asked[0] = easy_request(60);
    const std::vector<Generation> want = by_passes(asked);
    const std::vector<Generation> got = generate(engine, asked);
    for (size_t i = 0; i < asked.size(); ++i) {
      EXPECT_EQ(got[i].output_ids, want[i].output_ids);
      EXPECT_EQ(got[i].finish_reason, want[i].finish_reason);
      const GenerationStats& stats = got[i].stats;
      // The prefill's token, and each cycle's accepted drafts and bonus token; no bonus token where
      // an accepted draft ended the sequence.
      const int all = 1 + stats.ar_passes + stats.accepted;
      const bool ended = got[i].finish_reason == FinishReason::kStop;
      EXPECT_TRUE(stats.generated == all || (ended && stats.generated == all - 1))
          << stats.generated << " tokens, " << all;
      EXPECT_LE(stats.cycles, stats.diffusion_passes + looked_up(got[i]));
      accepted += stats.accepted;
    }
  }
  EXPECT_GT(accepted, 0);
  EXPECT_EQ(engine.fake().most_in_flight, CycleRunner::kMostInFlight);
}

// Trees of any size, over borders of pages, to stop tokens and limits inside of them.
TEST_F(WholeCycles, WithTreesGiveWhatPlainStepsGive) {
  std::mt19937 random(test::fresh_seed());
  CycleEngine engine(*model_);
  int accepted = 0, by_others = 0;
  for (const int nodes : {2, 8, 32, 64, 128}) {
    std::vector<Request> plain = requests(random, 3);
    plain[0] = easy_request(static_cast<int>(60 + random() % 60));
    for (Request& r : plain) r.options.mode = Mode::kAr, r.options.tree_nodes.reset();
    std::vector<Generation> want = by_passes(plain);
    std::vector<Request> asked = plain;
    for (size_t i = 0; i < asked.size(); ++i) {
      asked[i].options.mode = random() % 2 == 0 ? Mode::kDual : Mode::kAuto;
      asked[i].options.tree_nodes = nodes;
      if (i == 0) asked[i].options.mode = Mode::kDual;
      asked[i].on_step = [&](const Step& step) {
        EXPECT_TRUE(step.ranks.empty() || step.source == DraftSource::kTree);
        EXPECT_TRUE(step.drafted < nodes || step.source == DraftSource::kLookup);
        EXPECT_LE(step.accepted, step.judged);
        for (const int rank : step.ranks) by_others += rank > 0;
        return true;
      };
      if (i != 0 || nodes != 32) continue;
      std::vector<int32_t>& ids = want[0].output_ids;
      const auto stop = std::ranges::find(ids, ids[ids.size() / 2]);
      asked[0].options.stop_token_ids = {*stop};
      ids.erase(stop + 1, ids.end());
    }
    const std::vector<Generation> got = generate(engine, asked);
    for (size_t i = 0; i < asked.size(); ++i) {
      EXPECT_EQ(got[i].output_ids, want[i].output_ids) << nodes << " nodes";
      accepted += got[i].stats.accepted;
    }
    EXPECT_LT(engine.fake().most_nodes, nodes);
  }
  EXPECT_GT(accepted, 0);
  EXPECT_GT(by_others, 0);
  EXPECT_GT(engine.fake().most_nodes, 64);
  EXPECT_EQ(engine.fake().most_in_flight, CycleRunner::kMostInFlight);
}

// In step or not: prompts of so many chunks more end an odd or an even number of passes later.
TEST_F(WholeCycles, BeginForSequencesWhosePrefillsEndApart) {
  for (const int chunk : {1, 2, 3, 4, 8}) {
    CycleEngine engine(*model_);
    std::vector<Request> both(2);
    both[0].prompt = {100, 200, 300};
    both[1].prompt = {100, 200, 300, 400};
    for (Request& r : both) {
      r.options.max_tokens = 30;
      r.options.mode = Mode::kDual;
      r.options.prefill_chunk = chunk;
    }
    const std::vector<Generation> got = generate(engine, both);
    EXPECT_EQ(engine.fake().most_sequences, 2) << chunk;
    const std::vector<Generation> want = by_passes(both);
    for (size_t i = 0; i < 2; ++i) EXPECT_EQ(got[i].output_ids, want[i].output_ids);
  }
}

// A callback's exception ends the generation; the lane goes on with the next one.
TEST_F(WholeCycles, AnExceptionEndsThemWhereTheyLanded) {
  CycleEngine engine(*model_);
  const Request request = easy_request(40);
  const std::vector<int32_t> whole = generate(engine, std::span(&request, 1))[0].output_ids;
  Request throwing = request;
  int steps = 0;
  throwing.on_step = [&](const Step&) {
    if (++steps == 3) throw std::runtime_error("enough");
    return true;
  };
  EXPECT_THROW(generate(engine, std::span(&throwing, 1)), std::runtime_error);
  throwing.on_step = [](const Step&) -> bool { throw std::bad_alloc(); };
  EXPECT_THROW(generate(engine, std::span(&throwing, 1)), std::bad_alloc);
  EXPECT_EQ(generate(engine, std::span(&request, 1))[0].output_ids, whole);
}

TEST_F(WholeCycles, EndAtAStopTokenOrWhenCancelledWhileTheNextOneRuns) {
  CycleEngine engine(*model_);
  const Request request = easy_request(60);
  const std::vector<int32_t> whole = generate(engine, std::span(&request, 1))[0].output_ids;
  ASSERT_EQ(whole.size(), 60u);

  Request stopping = request;
  stopping.options.stop_token_ids = {whole[30]};
  const Generation stopped = generate(engine, std::span(&stopping, 1))[0];
  const auto first = std::find(whole.begin(), whole.end(), whole[30]);
  EXPECT_EQ(stopped.output_ids, std::vector<int32_t>(whole.begin(), first + 1));
  EXPECT_EQ(stopped.finish_reason, FinishReason::kStop);

  // One of two is cancelled; the other goes on.
  Request cancelled = request;
  int steps = 0;
  cancelled.on_step = [&](const Step&) { return ++steps < 3; };
  const Request both[] = {cancelled, request};
  const std::vector<Generation> got = generate(engine, both);
  EXPECT_EQ(got[0].finish_reason, FinishReason::kCancelled);
  EXPECT_EQ(steps, 3);
  EXPECT_TRUE(std::equal(got[0].output_ids.begin(), got[0].output_ids.end(), whole.begin()));
  EXPECT_EQ(got[1].output_ids, whole);
}

TEST_F(WholeCycles, WithoutRoomForThemPassesGoOn) {
  CycleEngine engine(*model_);
  const Request request = easy_request(40);
  const Generation whole = generate(engine, std::span(&request, 1))[0];
  engine.fake().no_room_for_sequences = true;
  EXPECT_EQ(generate(engine, std::span(&request, 1))[0].output_ids, whole.output_ids);
  engine.fake().no_room_for_sequences = false;
  for (const int cycles : {0, 1, 2, 5}) {
    engine.fake().cycles_until_no_room = cycles;
    EXPECT_EQ(generate(engine, std::span(&request, 1))[0].output_ids, whole.output_ids) << cycles;
  }
}

TEST_F(WholeCycles, AreTriedAgainThoughNobodyPauses) {
  CycleEngine engine(*model_);
  Request request = easy_request(400);
  request.options.ignore_eos = true;
  request.options.mode = Mode::kAr;
  const Generation whole = by_passes(std::span(&request, 1))[0];
  engine.fake().cycles_until_no_room = 3;
  request.on_step = [&, step = 0](const Step&) mutable {
    if (++step != 20) return true;
    EXPECT_EQ(engine.fake().cycles_until_no_room, 0);  // they were given up
    engine.fake().cycles_until_no_room = -1;
    engine.fake().most_in_flight = 0;
    return true;
  };
  EXPECT_EQ(generate(engine, std::span(&request, 1))[0].output_ids, whole.output_ids);
  EXPECT_EQ(engine.fake().most_in_flight, CycleRunner::kMostInFlight);
}

// To the last position of the cache, which cycles in flight never go beyond.
TEST_F(WholeCycles, EndWhereTheCacheEnds) {
  EngineOptions options;
  options.cache_memory = bytes_of_pages(model_->config(), 2);
  const CycleEngine engine(*model_, options);
  Request request = easy_request(1000);
  request.options.ignore_eos = true;
  const Generation got = generate(engine, std::span(&request, 1))[0];
  EXPECT_EQ(got.status, Status::kOk);
  EXPECT_EQ(got.output_ids.size(), 128 - request.prompt.size());
  request.options.max_tokens = static_cast<int>(got.output_ids.size());
  EXPECT_EQ(got.output_ids, by_passes(std::span(&request, 1))[0].output_ids);
}

// With a cache so small that they give way to each other, some are computed again while others'
// cycles are in flight; and some are cancelled then.
TEST_F(WholeCycles, GiveWayAndComeBack) {
  std::mt19937 random(test::fresh_seed());
  EngineOptions options;
  options.cache_memory = bytes_of_pages(model_->config(), 5);
  options.max_batch = 5;
  CycleEngine engine(*model_, options);
  int preemptions = 0;
  for (int round = 0; round < 2; ++round) {
    std::vector<Request> asked = requests(random, 7);
    for (size_t i = 0; i < asked.size(); ++i) {
      Request& r = asked[i];
      r.options.max_tokens = static_cast<int>(60 + random() % 40);
      r.options.priority = static_cast<int>(1 + random() % 2);
      if (i >= 3) continue;
      // In step, and each with a page to begin with, but no room for the second of all.
      r.prompt.resize(3, 100);
      r.options.max_tokens = 80;
      r.options.ignore_eos = true;
      r.options.mode = Mode::kAr;
      r.options.tree_nodes.reset();
      r.options.priority = 0;
    }
    const std::vector<Generation> want = by_passes(asked);
    for (Request& r : std::span(asked).subspan(3)) {
      if (random() % 2 == 0) continue;
      r.on_step = [left = random() % 40](const Step&) mutable { return left-- > 0; };
    }
    const std::vector<Generation> got = generate(engine, asked);
    for (size_t i = 0; i < asked.size(); ++i) {
      const std::vector<int32_t>& ids = got[i].output_ids;
      ASSERT_EQ(got[i].status, Status::kOk);
      ASSERT_LE(ids.size(), want[i].output_ids.size());
      EXPECT_TRUE(std::equal(ids.begin(), ids.end(), want[i].output_ids.begin())) << i;
      if (got[i].finish_reason != FinishReason::kCancelled) {
        EXPECT_EQ(ids.size(), want[i].output_ids.size());
      }
      preemptions += got[i].stats.preemptions;
    }
  }
  EXPECT_GT(preemptions, 0);
  EXPECT_EQ(engine.fake().most_in_flight, CycleRunner::kMostInFlight);
  EXPECT_GT(engine.fake().most_sequences, 1);
}

// A text that repeats itself has drafts of its own, which passes verify.
TEST_F(WholeCycles, AreLeftForWhatTheTextItselfHas) {
  std::mt19937 random(test::fresh_seed());
  int by_pass = 0, by_cycle = 0, most_in_flight = 0;
  for (int round = 0; round < 6; ++round) {
    CycleEngine engine(*model_);
    Request asked = request_that_repeats_itself(random);
    if (random() % 2 == 0) {
      asked.options.sampling = {.temperature = 0.5f, .seed = random()};
      asked.options.sampling.frequency_penalty = 0.1f;
    }
    const Generation want = by_passes(std::span(&asked, 1))[0];
    const Generation got = generate(engine, std::span(&asked, 1))[0];
    EXPECT_EQ(got.output_ids, want.output_ids);
    EXPECT_EQ(got.stats.generated, 1 + got.stats.ar_passes + got.stats.accepted);
    most_in_flight = std::max(most_in_flight, engine.fake().most_in_flight);
    by_pass += looked_up(got);
    by_cycle += got.stats.ar_passes - looked_up(got);
  }
  EXPECT_GT(by_pass, 0);
  EXPECT_GT(by_cycle, 0);
  EXPECT_EQ(most_in_flight, CycleRunner::kMostInFlight);
}

// Where it has no other drafts, four passes more than those follow before cycles go on.
TEST_F(WholeCycles, GoOnAFewPassesBehindALookupWithoutHeads) {
  std::mt19937 random(test::fresh_seed());
  const WithoutHeads model(*model_);
  int behind = 0, cycles = 0;
  for (int round = 0; round < 6; ++round) {
    CycleEngine engine(model);
    Request asked = request_that_repeats_itself(random);
    const Generation want = by_passes(std::span(&asked, 1))[0];
    int left = 0, started = 0;
    asked.on_step = [&](const Step& step) {
      const int now = engine.fake().started;
      if (step.source == DraftSource::kLookup) {
        left = 4;
        started = now;
      } else if (left > 0) {
        EXPECT_EQ(now, started);
        --left;
        ++behind;
      }
      return true;
    };
    EXPECT_EQ(generate(engine, std::span(&asked, 1))[0].output_ids, want.output_ids);
    cycles += engine.fake().started;
  }
  EXPECT_GT(behind, 0);
  EXPECT_GT(cycles, 0);
}

// What it has is asked for before the first of them, too.
TEST_F(WholeCycles, AreNotBegunByASequenceWhosePromptHasMore) {
  CycleEngine engine(*model_);
  Request request;
  for (int i = 0; i < 60; ++i) request.prompt.push_back(100 + i % 6);
  request.options.max_tokens = 120;
  request.options.ignore_eos = true;
  const Generation first = generate(engine, std::span(&request, 1))[0];
  ASSERT_GT(looked_up(first), 0);  // so that it is known to pay
  request.prompt.insert(request.prompt.end(), first.output_ids.begin(), first.output_ids.end());
  std::vector<DraftSource> sources;
  request.on_step = [&](const Step& step) {
    sources.push_back(step.source);
    return sources.size() < 3;
  };
  generate(engine, std::span(&request, 1));
  ASSERT_EQ(sources.size(), 3u);
  EXPECT_EQ(sources[0], DraftSource::kNone);  // the prompt's last pass
  EXPECT_EQ(sources[1], DraftSource::kLookup);
}

// Beside others it stays in them.
TEST_F(WholeCycles, AreLeftByASequenceThatIsAloneOnly) {
  CycleEngine engine(*model_);
  std::vector<Request> both(2);
  for (Request& r : both) {
    for (int i = 0; i < 60; ++i) r.prompt.push_back(100 + i % 6);
    r.options.max_tokens = 60;
    r.options.ignore_eos = true;
  }
  both[1].prompt[0] = 7;
  const std::vector<Generation> want = by_passes(both);
  const std::vector<Generation> got = generate(engine, both);
  for (size_t i = 0; i < both.size(); ++i) {
    EXPECT_EQ(got[i].output_ids, want[i].output_ids);
    EXPECT_EQ(looked_up(got[i]), 0);
  }
}

TEST_F(WholeCycles, TheRejectionRuleIsTheHosts) {
  CycleEngine engine(*model_);
  Request request = easy_request(20);
  request.options.sampling = {.temperature = 1, .seed = 3};
  request.options.accept = AcceptRule::kRejection;
  EXPECT_EQ(generate(engine, std::span(&request, 1))[0].output_ids.size(), 20u);
  EXPECT_EQ(engine.fake().most_in_flight, 0);
}

}  // namespace
}  // namespace orthrus
