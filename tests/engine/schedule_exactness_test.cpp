// The contract again: who else is there, who comes and goes meanwhile, and what a cache has room
// for, do not matter.
#include <deque>
#include <latch>

#include "engine/engine_impl.h"
#include "engine/exactness.h"
#include "orthrus/async_engine.h"

namespace orthrus {
namespace {

std::vector<Effort> efforts() {
  std::vector<Effort> all = {{"near_ties", 3, 3, 150, 120},
                             {"qwen2_near_ties", 3, 2, 150, 120},
                             {"near_ties", 1, 2, 150, 120, DType::kBF16},
                             {"near_ties", 1, 2, 150, 120, DType::kQ8_0},
                             {"tiny-code", 1, 1, 150, 120}};
  if (cuda_devices() > 0) {
    for (const char* model : {"near_ties", "qwen2_near_ties", "tiny-code"}) {
      all.push_back({.model = model,
                     .prompts = 3,
                     .rounds = 6,
                     .longest_prompt = 150,
                     .tokens = 120,
                     .cuda = true});
    }
  }
  return all;
}

class ScheduleExactness : public Exactness {
 protected:
  // A cache of so many pages; 0: as many as there are.
  EngineOptions options(int pages) {
    EngineOptions options{.weights = GetParam().weights, .max_batch = pick(3, 6)};
    const double position_bytes = engines_[0].shared_impl()->model->position_bytes();
    options.cache_memory = static_cast<uint64_t>(position_bytes * kPageSize * pages);
    if (GetParam().cuda) {
      options.device = {Device::Kind::kCuda};
    } else {
      options.threads = pick(1, 2);
      options.kv_cache = DType::kF32;
    }
    return options;
  }

  // Whose prompts have room beside each other in a few pages, but not all that they come to.
  std::vector<Request> crowd() {
    std::vector<Request> plain;
    for (int i = 0; i < 4; ++i) {
      plain.push_back(plain_request(kSampling[i]));
      add_penalties(plain.back().options.sampling);
      plain.back().prompt = random_prompt(10);
      plain.back().prompt.resize(3);
      plain.back().options.max_tokens = 120;
    }
    return plain;
  }

  // Every plain request twice, as one of several threads' way to ask for it.
  std::vector<Trial> random_trials(const std::vector<Request>& plain) {
    std::vector<Trial> trials;
    for (size_t i = 0; i < 2 * plain.size(); ++i) {
      const auto number = i % plain.size();
      Trial& trial = trials.emplace_back(
          Trial{static_cast<int>(number), varied(plain[number], pick(0, 1) == 0)});
      trial.may_be_cancelled = pick(0, 4) == 0;
      if (!trial.may_be_cancelled) continue;
      // After some steps, if any.
      trial.request.on_step = [left = pick(0, 40)](const Step&) mutable { return left-- > 0; };
    }
    std::shuffle(trials.begin(), trials.end(), random_);
    return trials;
  }

  static void generate_together(const Engine& engine, std::span<Trial> trials) {
    std::vector<Request> requests;
    for (const Trial& trial : trials) requests.push_back(trial.request);
    std::vector<Generation> got = engine.generate(requests);
    for (size_t i = 0; i < got.size(); ++i) trials[i].got = std::move(got[i]);
  }

  static constexpr size_t kSubmitting = 2;

  // Two threads submit theirs, and cancel some, while another one generates its own in batches.
  static void run(AsyncEngine& engine, std::span<Trial> trials) {
    const size_t share = trials.size() / (kSubmitting + 1);
    std::latch left(static_cast<std::ptrdiff_t>(kSubmitting * share));
    std::vector<std::thread> threads;
    for (size_t t = 0; t < kSubmitting; ++t) {
      threads.emplace_back([&engine, &left, own = trials.subspan(t * share, share)] {
        std::deque<AsyncEngine::Id> to_cancel;
        for (Trial& trial : own) {
          const auto id = engine.submit(trial.request, [&trial, &left](Generation got) {
            trial.got = std::move(got);
            left.count_down();
          });
          if (trial.may_be_cancelled) to_cancel.push_back(id);
          if (to_cancel.size() < 3) continue;
          engine.cancel(to_cancel.front());
          to_cancel.pop_front();
        }
      });
    }
    for (auto own = trials.subspan(kSubmitting * share); !own.empty();) {
      const auto together = own.first(std::min<size_t>(own.size(), 3));
      own = own.subspan(together.size());
      generate_together(engine.engine(), together);
    }
    for (std::thread& thread : threads) thread.join();
    left.wait();
  }
};

TEST_P(ScheduleExactness, WhoComesAndGoesAndWhatTheCacheHasRoomForDoNotMatter) {
  const Effort& effort = GetParam();
  std::vector<Request> plain;
  std::vector<Generation> want, want_of_crowd;
  const std::vector<Request> together = crowd();
  for (const Request& request : together) want_of_crowd.push_back(engines_[0].generate(request));
  for (const SamplingParams& sampling : kSampling) {
    for (int p = 0; p < effort.prompts; ++p) {
      plain.push_back(plain_request(sampling));
      if (p == 0) add_penalties(plain.back().options.sampling);
      want.push_back(engines_[0].generate(plain.back()));
    }
  }
  constexpr int kFewPages = 5;
  for (const int pages : {kFewPages, 0}) {
    AsyncEngine engine(Engine::load(path_, options(pages)));
    Compared count;
    Batch crowd{&engine.engine(), {}};
    for (size_t i = 0; i < together.size(); ++i) {  // in step, by plain decoding
      crowd.trials.push_back({static_cast<int>(i), together[i]});
    }
    generate_together(engine.engine(), crowd.trials);
    for (const Trial& trial : crowd.trials) {
      compare(crowd, trial, want_of_crowd[static_cast<size_t>(trial.number)], count);
    }
    if (pages == kFewPages) {
      EXPECT_GT(engine.load().preemptions, 0u);
    }
    for (int round = 0; round < effort.rounds; ++round) {
      Batch batch{&engine.engine(), random_trials(plain)};
      run(engine, batch.trials);
      for (const Trial& trial : batch.trials) {
        compare(batch, trial, want[static_cast<size_t>(trial.number)], count);
      }
      if (HasFailure()) break;
    }
    const EngineLoad load = engine.load();
    report(
        fmt::format("{}, {} pages, {} preemptions, {} of {} prompt tokens cached", name_of(effort),
                    load.cache_pages, load.preemptions, load.prefix_hits, load.prefix_queries),
        count);
    EXPECT_EQ(load.running + load.waiting, 0);
    EXPECT_EQ(load.pages_in_use, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, ScheduleExactness, testing::ValuesIn(efforts()),
                         [](const auto& info) { return name_of(info.param); });

}  // namespace
}  // namespace orthrus
