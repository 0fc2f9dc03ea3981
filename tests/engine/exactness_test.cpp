// The contract: what is generated is a function of weights, prompt, sampling parameters and seed.
// Every other axis is varied at random against plain AR decoding alone, on one thread, with the
// prompt in one pass. On a machine with a CUDA device its models too:
//
//   exactness_test --gtest_filter='*cuda*'
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <future>
#include <limits>
#include <random>

#include "kernels/cpu/instruction_sets.h"
#include "orthrus/engine.h"
#include "orthrus/published_shapes.h"
#include "support/code_prompts.h"
#include "support/gguf_model.h"
#include "support/near_ties.h"
#include "support/temporary_directory.h"

namespace orthrus {
namespace {

// The same of a Qwen2: with biases of q, k and v, without norms of heads, seven query heads to a
// key head.
void write_qwen2_near_ties(const std::filesystem::path& file) {
  ModelConfig config;
  config.vocab_size = 300;
  config.hidden_size = kNearTiesHidden;
  config.intermediate_size = 104;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 14;
  config.num_key_value_heads = 2;
  config.head_dim = 16;
  config.rms_norm_eps = 1e-6f;
  config.rope_theta = 10000;
  config.max_position_embeddings = 1024;
  config.has_qk_norm = false;
  config.has_qkv_bias = true;
  config.block_size = 24;
  config.mask_token_id = 299;
  auto tensors = random_tensors(config, DType::kF32);
  make_near_ties(tensors, kNearTiesHidden);
  test::gguf_of(config, tensors).write(file);
}

// The same in a number format of blocks, as which matrices of 256 and 512 columns can be stored.
// The diffusion view has the AR view's attention: such drafts are right often enough for a test.
void write_block_near_ties(const std::filesystem::path& file, bool qwen2, DType type) {
  ModelConfig config;
  config.vocab_size = 300;
  config.hidden_size = 512;
  config.intermediate_size = 256;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 8;
  config.num_key_value_heads = 2;
  config.head_dim = 32;
  config.rms_norm_eps = 1e-6f;
  config.rope_theta = 10000;
  config.max_position_embeddings = 1024;
  config.has_qk_norm = !qwen2;
  config.has_qkv_bias = qwen2;
  config.block_size = 24;
  config.mask_token_id = 299;
  auto tensors = test::random_tensors_in(config, type);
  for (test::TensorToWrite& tensor : tensors) {
    std::string of_ar = tensor.name;
    constexpr std::string_view kSuffix = "_diff";
    const size_t at = of_ar.find(kSuffix);
    if (at == of_ar.npos) continue;
    of_ar.erase(at, kSuffix.size());
    tensor.bytes = std::ranges::find(tensors, of_ar, &test::TensorToWrite::name)->bytes;
  }
  make_near_ties(tensors, config.hidden_size);
  test::gguf_of(config, tensors).write(file);
}

constexpr SamplingParams kSampling[] = {
    {.temperature = 0},
    {.temperature = 0.7f},
    {.temperature = 1},
    {.temperature = 0.7f, .top_k = 20, .top_p = 0.8f},
    {.temperature = 1, .top_p = 0.95f, .min_p = 0.02f},
    {.temperature = 1, .top_k = 50, .min_p = 0.1f},
};

struct Effort {
  const char* model;
  int prompts;  // for each of kSampling
  int rounds;   // in each of which every prompt is continued again, in another way
  int longest_prompt;
  int tokens;  // most to generate
  std::optional<DType> weights = {};
  int64_t instruction_set = 0;  // 0: the best that there is
  DType kv_cache = DType::kF32;
  bool cuda = false;
  int more_greedy = 0;               // further prompts that are continued greedily
  std::optional<DType> blocks = {};  // of "qwen2" and "qwen3": what their file holds

  bool synthetic() const { return published_shape(model).has_value(); }
};

std::string name_of(const Effort& effort) {
  std::string name = effort.model;
  for (char& c : name) {
    if (c == '-' || c == '.') c = '_';  // GoogleTest's names
  }
  if (effort.blocks) name += fmt::format("_{}_file", orthrus::name_of(*effort.blocks));
  if (effort.weights) name += fmt::format("_{}", orthrus::name_of(*effort.weights));
  if (effort.instruction_set != 0) {
    name += fmt::format("_{}", hwy::TargetName(effort.instruction_set));
  }
  if (effort.kv_cache != DType::kF32) {
    name += fmt::format("_cache_{}", orthrus::name_of(effort.kv_cache));
  }
  if (effort.cuda) name += "_cuda";
  return name;
}

void PrintTo(const Effort& effort, std::ostream* out) {
  *out << name_of(effort);
}

std::vector<Effort> efforts() {
  std::vector<Effort> all = {{"near_ties", 3, 15, 150, 60},
                             {"qwen2_near_ties", 3, 15, 150, 60},
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
  all.push_back({"near_ties", 1, 8, 150, 40, {}, 0, DType::kBF16});
  all.push_back({"tiny-code", 1, 3, 100, 40, {}, 0, DType::kBF16});
  for (const int64_t set : cpu::instruction_sets()) {
    all.push_back({"near_ties", 1, 8, 150, 40, std::nullopt, set});
    all.push_back({"near_ties", 1, 8, 150, 40, DType::kQ8_0, set});
    all.push_back({"near_ties", 1, 8, 150, 40, DType::kBF16, set});
  }
  if (cuda_devices() > 0) {
    for (const char* near_ties : {"near_ties", "qwen2_near_ties"}) {
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
  }
  return all;
}

std::filesystem::path path_of(const Effort& effort, const std::filesystem::path& own) {
  const std::string model = effort.model;
  if (effort.blocks) {
    write_block_near_ties(own / "model.gguf", model == "qwen2", *effort.blocks);
    return own / "model.gguf";
  }
  if (model == "qwen2_near_ties") {
    write_qwen2_near_ties(own / "model.gguf");
    return own / "model.gguf";
  }
  if (model == "tiny-code") return std::filesystem::path(ORTHRUS_MODELS) / model;
  if (model != "near_ties") return std::filesystem::path(ORTHRUS_TEST_DATA) / "golden" / model;
  write_near_ties(own);
  return own;
}

// A prompt, and one of the ways to continue it.
struct Trial {
  int number;  // of the plain request that asks for the same tokens
  Request request;
  Generation got = {};
};

// Requests that are generated together.
struct Batch {
  const Engine* engine;
  std::vector<Trial> trials;
};

std::string describe(const Trial& trial, const Batch& batch) {
  const GenerateOptions& o = trial.request.options;
  return fmt::format(
      "request {} of {} tokens: mode {}, block {}, chunk {}, {} in the batch, {} threads, T {}, "
      "sampling seed {}, penalties {}, {}, {}, {} biases",
      trial.number, trial.request.prompt.size(), orthrus::name_of(*o.mode), o.block_size,
      o.prefill_chunk, batch.trials.size(), batch.engine->threads(), o.sampling.temperature,
      o.sampling.seed, o.sampling.repetition_penalty, o.sampling.presence_penalty,
      o.sampling.frequency_penalty, o.sampling.logit_bias.size());
}

// Tokens that were compared with those of plain decoding.
struct Compared {
  int64_t tokens = 0;
  int64_t accepted = 0;   // of them, drafts that were accepted
  int64_t differing = 0;  // of them
};

// A run may ask for fewer tokens than the plain request did. Reports the first difference; the text
// after it is another one.
void compare(const Batch& batch, const Trial& trial, std::span<const int32_t> want,
             Compared& count) {
  const std::span<const int32_t> got = trial.got.output_ids;
  ASSERT_EQ(trial.got.status, Status::kOk) << describe(trial, batch);
  ASSERT_EQ(got.size(), static_cast<size_t>(trial.request.options.max_tokens))
      << describe(trial, batch);
  ASSERT_LE(got.size(), want.size()) << describe(trial, batch);
  bool same = true;
  for (size_t i = 0; i < got.size(); ++i) {
    if (got[i] == want[i]) continue;
    ++count.differing;
    if (!std::exchange(same, false)) continue;
    ADD_FAILURE() << "at position " << trial.request.prompt.size() + i << " token " << got[i]
                  << ", in plain decoding " << want[i] << "; " << describe(trial, batch);
  }
  count.tokens += static_cast<int64_t>(got.size());
  count.accepted += trial.got.stats.accepted;
}

void report(const std::string& name, const Compared& count) {
  std::printf("%s: %lld tokens compared, %lld of them accepted drafts, %lld different\n",
              name.c_str(), static_cast<long long>(count.tokens),
              static_cast<long long>(count.accepted), static_cast<long long>(count.differing));
}

class Exactness : public testing::TestWithParam<Effort> {
 protected:
  Exactness() : random_(seed_) {
    const Effort& effort = GetParam();
    hwy::SetSupportedTargetsForTest(effort.instruction_set);
    if (effort.synthetic()) {
      for (int i = 0; i < 2; ++i) {
        engines_.push_back(
            Engine::synthetic(*published_shape(effort.model), {.device = {Device::Kind::kCuda}}));
      }
      return;
    }
    const auto path = path_of(effort, own_.path());
    if (effort.cuda) {
      for (int i = 0; i < 2; ++i) {
        engines_.push_back(Engine::load(path, {.device = {Device::Kind::kCuda}}));
      }
      return;
    }
    EngineOptions options{.weights = effort.weights, .kv_cache = effort.kv_cache};
    for (const int threads : {1, 2, 3}) {
      options.threads = threads;
      engines_.push_back(Engine::load(path, options));
    }
    options.threads = 2;
    options.draft_weights = effort.weights == DType::kQ8_0 ? DType::kBF16 : DType::kQ8_0;
    engines_.push_back(Engine::load(path, options));
  }
  ~Exactness() override { hwy::SetSupportedTargetsForTest(0); }
  void TearDown() override {
    if (HasFailure()) std::printf("seed: %u\n", seed_);
  }

  const ModelConfig& config() const { return engines_[0].config(); }
  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  template <typename T>
  T any_of(std::initializer_list<T> values) {
    return values.begin()[pick(0, static_cast<int>(values.size()) - 1)];
  }

  std::vector<int32_t> random_prompt(int longest) {
    if (engines_[0].tokenizer() != nullptr && pick(0, 1) == 0) {
      std::vector<int32_t> code =
          engines_[0].encode(test::kCodePrompts[pick(0, std::size(test::kCodePrompts) - 1)]);
      code.resize(pick(1, static_cast<int>(code.size())));
      return code;
    }
    std::vector<int32_t> ids(pick(1, longest));
    // Few different tokens, repeated, so that drafts have something to go by.
    const int kinds = pick(2, 30);
    const int base = pick(0, config().vocab_size - kinds);
    for (int32_t& id : ids) id = base + pick(0, kinds - 1);
    return ids;
  }

  // A row's context: penalties, and biases of a few tokens, some of which are never chosen.
  void add_penalties(SamplingParams& sampling) {
    sampling.repetition_penalty = any_of({1.0f, 1.05f, 1.3f, 0.9f});
    sampling.presence_penalty = any_of({0.0f, 0.2f, 1.5f, -0.3f});
    sampling.frequency_penalty = any_of({0.0f, 0.1f, 0.6f, -0.1f});
    for (int i = pick(0, 3); i > 0; --i) {
      const float bias = any_of({-std::numeric_limits<float>::infinity(), -3.0f, 0.5f});
      sampling.logit_bias.push_back({pick(0, config().vocab_size - 1), bias});
    }
  }

  Request plain_request(const SamplingParams& sampling) {
    Request plain;
    plain.prompt = random_prompt(GetParam().longest_prompt);
    plain.options.sampling = sampling;
    plain.options.sampling.seed = random_();
    plain.options.max_tokens = pick(GetParam().tokens / 2, GetParam().tokens);
    plain.options.ignore_eos = true;
    plain.options.mode = Mode::kAr;
    plain.options.prefill_chunk = 1 << 20;
    return plain;
  }

  // Another way to compute the same, or the beginning of it.
  Request varied(Request request, bool whole_prompt) {
    GenerateOptions& options = request.options;
    constexpr Mode kModes[] = {Mode::kAr, Mode::kDual, Mode::kDual, Mode::kDual, Mode::kAuto};
    options.mode = kModes[pick(0, 4)];
    options.block_size = *options.mode == Mode::kAr ? 0 : pick(2, config().block_size);
    if (options.sampling.greedy()) {
      options.accept = any_of({AcceptRule::kMatch, AcceptRule::kRejection});  // the same then
    }
    if (pick(0, 2) == 0) options.block_size = 0;
    if (!whole_prompt) options.prefill_chunk = any_of({1, 7, 64, 1 << 20});
    if (pick(0, 7) == 0) options.max_tokens = pick(1, options.max_tokens);
    return request;
  }

  // All plain requests, in random order, alone and in batches of up to eight.
  std::vector<Batch> random_batches(const std::vector<Request>& plain) {
    std::vector<int> order(plain.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
    std::shuffle(order.begin(), order.end(), random_);
    std::vector<Batch> batches;
    for (size_t at = 0; at < order.size();) {
      const auto most = static_cast<size_t>(pick(0, 3) == 0 ? 1 : pick(2, 8));
      const size_t count = std::min(most, order.size() - at);
      Batch& batch = batches.emplace_back();
      batch.engine = &engines_[pick(0, static_cast<int>(engines_.size()) - 1)];
      // So that in half of the batches all sequences soon decode, as whole cycles on a device.
      const bool whole_prompts = pick(0, 1) == 0;
      for (const int number : std::span(order).subspan(at, count)) {
        batch.trials.push_back({number, varied(plain[number], whole_prompts)});
      }
      at += count;
    }
    return batches;
  }

  // An engine serves any number of threads at once. A device is shared by several here, which is
  // one more thing that must not matter, and keeps the processor's cores busy.
  void generate(std::vector<Batch>& batches) {
    std::atomic<size_t> next = 0;
    const auto work = [&] {
      for (size_t i; (i = next++) < batches.size();) {
        std::vector<Request> requests;
        for (const Trial& trial : batches[i].trials) requests.push_back(trial.request);
        std::vector<Generation> got = batches[i].engine->generate(requests);
        for (size_t r = 0; r < got.size(); ++r) batches[i].trials[r].got = std::move(got[r]);
      }
    };
    const unsigned workers =
        GetParam().cuda ? std::clamp(std::thread::hardware_concurrency(), 1u, 8u) : 1u;
    std::vector<std::future<void>> others;
    for (unsigned i = 1; i < workers; ++i) others.push_back(std::async(std::launch::async, work));
    work();
    for (auto& other : others) other.get();
  }

  unsigned seed_ = std::random_device{}();
  std::mt19937 random_;
  test::TemporaryDirectory own_;
  // Of 1, 2 and 3 threads, and 2 that draft with other weights; or two on a CUDA device.
  std::vector<Engine> engines_;
};

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
      for (const Trial& trial : batch.trials)
        compare(batch, trial, want[trial.number].output_ids, count);
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
    trial.got = session.generate(trial.request);
    compare(batch, trial, engines_[0].generate(plain).output_ids, count);
    ASSERT_FALSE(HasFailure()) << "turn " << turn << ", action " << action;
    if (turn > 0 && action >= 2) {
      EXPECT_GT(trial.got.stats.cached_tokens, 0);
    }
    history.insert(history.end(), trial.got.output_ids.begin(), trial.got.output_ids.end());
    if (history.size() > 400) history.resize(200);
  }
  report(name_of(effort) + ", a session", count);
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, Exactness, testing::ValuesIn(efforts()),
                         [](const auto& info) { return name_of(info.param); });

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
