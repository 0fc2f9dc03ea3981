// The contract: what is generated is a function of weights, prompt, sampling parameters and seed.
// Every other axis is varied at random against plain AR decoding alone, on one thread, with the
// prompt in one pass. On a machine with a CUDA device its models too:
//
//   exactness_test --gtest_filter='*cuda*'
#include "engine/exactness.h"

#include "engine/engine_impl.h"
#include "kernels/cpu/instruction_sets.h"

namespace orthrus {
namespace {

std::vector<Effort> efforts() {
  std::vector<Effort> all = {{"near_ties", 3, 15, 150, 60},
                             {"qwen2_near_ties", 3, 15, 150, 60},
                             {"near_ties_pairs", 3, 12, 150, 60},
                             {"qwen2_near_ties_pairs", 3, 12, 150, 60},
                             {"tied", 3, 15, 150, 60},
                             {"untied", 3, 15, 150, 60},
                             {"tiny-code", 1, 8, 150, 60}};
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0}) {
    all.push_back({"near_ties", 1, 8, 150, 40, type});
    all.push_back({"qwen2_near_ties", 1, 4, 150, 40, type});
    all.push_back({"tiny-code", 1, 3, 100, 40, type});
  }
  // What files hold, as they hold it, in both architectures; and on every instruction set.
  const auto of_blocks = [&](const char* model, DType type, int rounds) {
    all.push_back({.model = model,
                   .prompts = 1,
                   .rounds = rounds,
                   .longest_prompt = 150,
                   .tokens = 40,
                   .blocks = type});
  };
  for (const Format& format : all_formats()) {
    if (!format.stores_blocks()) continue;
    of_blocks("qwen2", format.type, 6);
    of_blocks("qwen3", format.type, 6);
    for (const int64_t set : cpu::instruction_sets()) {
      of_blocks("qwen2", format.type, 2);
      all.back().instruction_set = set;
    }
  }
  for (const char* model : {"qwen2", "qwen3"}) all.push_back({model, 1, 6, 150, 40});
  all.push_back({"near_ties", 1, 8, 150, 40, {}, 0, DType::kBF16});
  all.push_back({"tiny-code", 1, 3, 100, 40, {}, 0, DType::kBF16});
  for (const int64_t set : cpu::instruction_sets()) {
    all.push_back({"near_ties", 1, 8, 150, 40, std::nullopt, set});
    all.push_back({"near_ties", 1, 8, 150, 40, DType::kQ8_0, set});
    all.push_back({"near_ties", 1, 8, 150, 40, DType::kBF16, set});
  }
  if (cuda_devices() > 0) {
    for (const char* near_ties :
         {"near_ties", "qwen2_near_ties", "near_ties_pairs", "qwen2_near_ties_pairs"}) {
      all.push_back({.model = near_ties,
                     .prompts = 8,
                     .rounds = 12,
                     .longest_prompt = 300,
                     .tokens = 80,
                     .cuda = true});
    }
    for (const char* golden : {"tied", "untied"}) {
      all.push_back({.model = golden,
                     .prompts = 12,
                     .rounds = 20,
                     .longest_prompt = 400,
                     .tokens = 80,
                     .cuda = true});
    }
    all.push_back({.model = "tiny-code",
                   .prompts = 8,
                   .rounds = 16,
                   .longest_prompt = 400,
                   .tokens = 80,
                   .cuda = true});
    // No draft of random weights is right, so each token takes a whole cycle.
    for (const char* shape : {"qwen3-0.6b", "qwen2.5-coder-0.5b"}) {
      all.push_back({.model = shape,
                     .prompts = 4,
                     .rounds = 4,
                     .longest_prompt = 300,
                     .tokens = 48,
                     .cuda = true,
                     .more_greedy = 12});
    }
    for (const char* model : {"near_ties", "qwen2_near_ties", "untied", "tiny-code"}) {
      all.push_back({.model = model,
                     .prompts = 6,
                     .rounds = 10,
                     .longest_prompt = 300,
                     .tokens = 80,
                     .weights = DType::kQ8_0,
                     .cuda = true});
    }
    for (const char* model : {"qwen2", "qwen3"}) {
      for (const auto blocks : {std::optional<DType>(), std::optional(DType::kQ5_0)}) {
        all.push_back({.model = model,
                       .prompts = 6,
                       .rounds = 10,
                       .longest_prompt = 300,
                       .tokens = 80,
                       .weights = WeightType::native(),
                       .cuda = true,
                       .blocks = blocks});
      }
    }
  }
  return all;
}

TEST_P(Exactness, NothingButWeightsPromptSamplingAndSeedMatters) {
  const Effort& effort = GetParam();
  std::vector<Request> plain;
  for (const SamplingParams& sampling : kSampling) {
    const int prompts = effort.prompts + (sampling.greedy() ? effort.more_greedy : 0);
    for (int p = 0; p < prompts; ++p) plain.push_back(plain_request(sampling));
    plain.push_back(plain_request(sampling));
    add_penalties(plain.back().options.sampling);
  }
  std::vector<Generation> want;
  for (const Request& request : plain) {
    want.push_back(engines_[0].generate(request));
    ASSERT_EQ(want.back().status, Status::kOk);
    ASSERT_EQ(want.back().output_ids.size(), static_cast<size_t>(request.options.max_tokens));
  }
  Compared count;
  for (int round = 0; round < effort.rounds; ++round) {
    std::vector<Batch> batches = random_batches(plain);
    generate(batches);
    for (const Batch& batch : batches) {
      for (const Trial& trial : batch.trials) compare(batch, trial, want[trial.number], count);
    }
    if (HasFailure()) break;  // a round has failures enough
  }
  report(name_of(effort), count);
  if (!effort.synthetic()) {
    EXPECT_GT(count.accepted, count.tokens / 100)
        << "too few accepted drafts for this test to mean much";
  }
}

// A session that has been anywhere gives what a fresh engine gives.
TEST_P(Exactness, WhatASessionDidBeforeDoesNotMatter) {
  const Effort& effort = GetParam();
  Session session = engines_[1].start_session();
  std::vector<int32_t> history = random_prompt(effort.longest_prompt);
  Compared count;
  for (int turn = 0; turn < 8; ++turn) {
    // Continue the conversation, rewind it, or begin another.
    const auto more = random_prompt(20);
    const int action = pick(0, 3);
    if (action == 0) history.resize(pick(1, static_cast<int>(history.size())));
    if (action == 1) history = random_prompt(effort.longest_prompt);
    if (action >= 2) history.insert(history.end(), more.begin(), more.end());
    Request plain = plain_request(kSampling[turn % std::size(kSampling)]);
    plain.prompt = history;
    plain.options.max_tokens = pick(1, effort.tokens / 2);
    if (pick(0, 2) == 0) add_penalties(plain.options.sampling);

    Batch batch{&engines_[1], {{turn, varied(plain, pick(0, 1) == 0)}}};
    Trial& trial = batch.trials[0];
    trial.request.options.cache_salt = "";
    trial.got = session.generate(trial.request);
    compare(batch, trial, engines_[0].generate(plain), count);
    ASSERT_FALSE(HasFailure()) << "turn " << turn << ", action " << action;
    if (turn > 0 && action >= 2 && !plain.options.prompt_logprobs) {
      EXPECT_GT(trial.got.stats.cached_tokens, 0);
    }
    history.insert(history.end(), trial.got.output_ids.begin(), trial.got.output_ids.end());
    if (history.size() > 400) history.resize(200);
  }
  report(name_of(effort) + ", a session", count);
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, Exactness, testing::ValuesIn(efforts()),
                         [](const auto& info) { return name_of(info.param); });

TEST(NativeWeights, AreTheProcessorsDefault) {
  const test::TemporaryDirectory own;
  const auto file = own.path() / "model.gguf";
  write_block_near_ties(file, true, std::nullopt);
  const Engine usual = Engine::load(file),
               native = Engine::load(file, {.weights = WeightType::native()});
  EXPECT_EQ(native.weight_types(), usual.weight_types());
  EXPECT_EQ(native.weight_types().size(), 4u);
  // Beside others the drafts' are those of the file, too.
  const Engine drafts_native =
      Engine::load(file, {.weights = DType::kF32, .draft_weights = WeightType::native()});
  EXPECT_EQ(drafts_native.weight_types(), std::vector{DType::kF32});
  const auto& model = *drafts_native.shared_impl()->model;
  EXPECT_EQ(model.weight_types(View::kDiffusion), usual.weight_types());
  Request request;
  request.prompt = {3, 1, 4, 1, 5};
  request.options.max_tokens = 60;
  EXPECT_EQ(native.generate(request).output_ids, usual.generate(request).output_ids);
}

// That the comparison sees what it is there for: another order of additions, or another rounding of
// activations, gives other ids from the checkpoint of near-ties.
TEST(ExactnessOfNearTies, OtherRoundingGivesOtherIds) {
  const test::TemporaryDirectory own;
  write_near_ties(own.path(), DType::kBF16);  // the same weights in F32 and BF16
  std::vector<Engine> engines;
  engines.push_back(Engine::load(own.path(), {.weights = DType::kF32, .kv_cache = DType::kF32}));
  engines.push_back(Engine::load(own.path(), {.weights = DType::kBF16, .kv_cache = DType::kBF16}));
  if (cuda_devices() > 0) {
    engines.push_back(Engine::load(own.path(), {.device = {Device::Kind::kCuda}}));
  }
  constexpr int kPrompts = 20, kTokens = 20;
  std::vector<int> differ(engines.size());
  for (int32_t p = 0; p < kPrompts; ++p) {
    Request request;
    request.prompt = {p};
    request.options.max_tokens = kTokens;
    const auto want = engines[0].generate(request).output_ids;
    for (size_t e = 1; e < engines.size(); ++e) {
      differ[e] += engines[e].generate(request).output_ids != want;
    }
  }
  for (size_t e = 1; e < engines.size(); ++e) {
    std::printf("%s, %s: %d of %d texts differ from those in F32\n",
                orthrus::name_of(engines[e].device()).c_str(),
                std::string(orthrus::name_of(engines[e].weight_types().front())).c_str(), differ[e],
                kPrompts);
    EXPECT_GT(differ[e], kPrompts / 2);
  }
}

}  // namespace
}  // namespace orthrus
