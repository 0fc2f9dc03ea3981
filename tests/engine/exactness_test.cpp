// The contract: what is generated is a function of weights, prompt, sampling parameters and seed.
// Every other axis is varied at random against plain AR decoding alone, on one thread, with the
// prompt in one pass.
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <filesystem>
#include <map>
#include <random>

#include "kernels/cpu/instruction_sets.h"
#include "orthrus/engine.h"
#include "support/random_checkpoint.h"
#include "support/temporary_directory.h"

namespace orthrus {
namespace {

// A checkpoint where rounding decides nearly every token: the head's rows come in pairs that differ
// by a unit in the last place here and there, so the two logits of a pair are the same number but
// for the last bits of their sums. Anything that changes the order of additions changes the ids.
void write_near_ties(const std::filesystem::path& directory) {
  auto config = small_config_json();
  config["vocab_size"] = 300;
  config["mask_token_id"] = 299;
  config["hidden_size"] = 72;
  config["intermediate_size"] = 100;
  config["block_size"] = 24;
  config["max_position_embeddings"] = 1024;
  write_config(directory, config);
  auto tensors = random_tensors(load_config(directory), DType::kF32);
  for (auto& tensor : tensors) {
    if (tensor.name != "lm_head.weight") continue;
    const size_t row = tensor.bytes.size() / 300;
    for (size_t i = 0; i < 300; i += 2) {
      std::string twin = tensor.bytes.substr(i * row, row);
      for (size_t k = i % 5 * 4; k < row; k += 20) {
        float weight;
        std::memcpy(&weight, &twin[k], 4);
        weight = std::nextafter(weight, k % 40 < 20 ? 10.0f : -10.0f);
        std::memcpy(&twin[k], &weight, 4);
      }
      tensor.bytes.replace((i + 1) * row, row, twin);
    }
  }
  test::write_safetensors(directory / "model.safetensors", tensors);
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
  int prompts;     // for each of kSampling
  int variations;  // of each prompt
  int longest_prompt;
  int tokens;  // to generate
  std::optional<DType> weights = {};
  int64_t instruction_set = 0;  // 0: the best that there is
  DType kv_cache = DType::kF32;
  bool cuda = false;
};

std::string name_of(const Effort& effort) {
  std::string name = effort.model;
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
  std::vector<Effort> all = {{"near_ties", 3, 10, 150, 60},
                             {"tied", 3, 10, 150, 60},
                             {"untied", 3, 10, 150, 60},
                             {"tiny_code", 1, 6, 150, 60}};
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0}) {
    all.push_back({"near_ties", 1, 6, 150, 40, type});
    all.push_back({"tiny_code", 1, 2, 100, 40, type});
  }
  all.push_back({"near_ties", 1, 6, 150, 40, {}, 0, DType::kBF16});
  all.push_back({"tiny_code", 1, 2, 100, 40, {}, 0, DType::kBF16});
  for (const int64_t set : cpu::instruction_sets()) {
    all.push_back({"near_ties", 1, 6, 150, 40, std::nullopt, set});
    all.push_back({"near_ties", 1, 6, 150, 40, DType::kQ8_0, set});
    all.push_back({"near_ties", 1, 6, 150, 40, DType::kBF16, set});
  }
  if (cuda_devices() > 0) {
    // Sampling from tiny-code's vocabulary takes the processor longer than the passes.
    for (const auto& [model, prompts] :
         {std::pair("tied", 16), std::pair("untied", 16), std::pair("tiny_code", 2)}) {
      all.push_back({.model = model,
                     .prompts = prompts,
                     .variations = 20,
                     .longest_prompt = 300,
                     .tokens = 80,
                     .cuda = true});
    }
  }
  return all;
}

class Exactness : public testing::TestWithParam<Effort> {
 protected:
  Exactness() : random_(seed_) {
    const std::string model = GetParam().model;
    auto directory = std::filesystem::path(ORTHRUS_TEST_DATA) / "golden" / model;
    if (model == "tiny_code") directory = std::filesystem::path(ORTHRUS_MODELS) / "tiny-code";
    if (model == "near_ties") write_near_ties(directory = own_.path());
    hwy::SetSupportedTargetsForTest(GetParam().instruction_set);
    if (GetParam().cuda) {
      for (int i = 0; i < 2; ++i) {
        engines_.push_back(Engine::load(directory, {.device = {Device::Kind::kCuda, 0}}));
      }
      return;
    }
    EngineOptions options{.weights = GetParam().weights, .kv_cache = GetParam().kv_cache};
    for (const int threads : {1, 2, 3}) {
      options.threads = threads;
      engines_.push_back(Engine::load(directory, options));
    }
    options.threads = 2;
    options.draft_weights = GetParam().weights == DType::kQ8_0 ? DType::kBF16 : DType::kQ8_0;
    engines_.push_back(Engine::load(directory, options));
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
    std::vector<int32_t> ids(pick(1, longest));
    // Few different tokens, repeated, so that drafts have something to go by.
    const int kinds = pick(2, 30);
    const int base = pick(0, config().vocab_size - kinds);
    for (int32_t& id : ids) id = base + pick(0, kinds - 1);
    return ids;
  }

  // Another way to compute the same.
  GenerateOptions varied(GenerateOptions options) {
    constexpr Mode kModes[] = {Mode::kAr, Mode::kDual, Mode::kDual, Mode::kDual, Mode::kAuto};
    options.mode = kModes[pick(0, 4)];
    options.block_size = *options.mode == Mode::kAr ? 0 : pick(2, config().block_size);
    if (pick(0, 2) == 0) options.block_size = 0;
    options.prefill_chunk = any_of({1, 7, 64, 1 << 20});
    return options;
  }

  unsigned seed_ = std::random_device{}();
  std::mt19937 random_;
  test::TemporaryDirectory own_;
  // Of 1, 2 and 3 threads, and 2 that draft with other weights; or two on a CUDA device.
  std::vector<Engine> engines_;
};

std::string describe(const GenerateOptions& o, int neighbours, int threads) {
  return "mode " + std::string(name_of(*o.mode)) + ", block " + std::to_string(o.block_size) +
         ", chunk " + std::to_string(o.prefill_chunk) + ", neighbours " +
         std::to_string(neighbours) + ", threads " + std::to_string(threads) + ", T " +
         std::to_string(o.sampling.temperature) + ", sampling seed " +
         std::to_string(o.sampling.seed);
}

TEST_P(Exactness, NothingButWeightsPromptSamplingAndSeedMatters) {
  const Effort& effort = GetParam();
  int compared = 0, accepted = 0;
  for (const SamplingParams& sampling : kSampling) {
    for (int p = 0; p < effort.prompts; ++p) {
      Request plain;
      plain.prompt = random_prompt(effort.longest_prompt);
      plain.options.sampling = sampling;
      plain.options.sampling.seed = random_();
      plain.options.max_tokens = pick(effort.tokens / 2, effort.tokens);
      plain.options.ignore_eos = true;
      plain.options.mode = Mode::kAr;
      plain.options.prefill_chunk = 1 << 20;
      const Generation want = engines_[0].generate(plain);
      ASSERT_EQ(want.status, Status::kOk);
      ASSERT_EQ(want.output_ids.size(), static_cast<size_t>(plain.options.max_tokens));

      for (int v = 0; v < effort.variations; ++v) {
        const int neighbours = v % 2 == 0 ? 0 : pick(1, 7);
        const int place = pick(0, neighbours);
        std::vector<Request> requests(neighbours + 1);
        for (int i = 0; i <= neighbours; ++i) {
          requests[i] = plain;
          if (i != place) {
            requests[i].prompt = random_prompt(effort.longest_prompt);
            requests[i].options.sampling = kSampling[pick(0, std::size(kSampling) - 1)];
            requests[i].options.max_tokens = pick(1, effort.tokens);
          }
          requests[i].options = varied(requests[i].options);
        }
        const Engine& engine = engines_[pick(0, static_cast<int>(engines_.size()) - 1)];
        const Generation got = engine.generate(requests)[place];
        ASSERT_EQ(got.output_ids, want.output_ids)
            << describe(requests[place].options, neighbours, engine.threads()) << ", prompt of "
            << plain.prompt.size() << " tokens";
        compared += static_cast<int>(got.output_ids.size());
        accepted += got.stats.accepted;
      }
    }
  }
  EXPECT_GT(accepted, compared / 100) << "too few accepted drafts for this test to mean much";
  std::printf("%s: %d tokens compared, %d of them accepted drafts\n", name_of(effort).c_str(),
              compared, accepted);
}

// A session that has been anywhere gives what a fresh engine gives.
TEST_P(Exactness, WhatASessionDidBeforeDoesNotMatter) {
  const Effort& effort = GetParam();
  Session session = engines_[1].start_session();
  std::vector<int32_t> history = random_prompt(effort.longest_prompt);
  for (int turn = 0; turn < 8; ++turn) {
    Request request;
    request.options.sampling = kSampling[turn % std::size(kSampling)];
    request.options.sampling.seed = random_();
    request.options.max_tokens = pick(1, effort.tokens / 2);
    request.options.ignore_eos = true;
    request.options = varied(request.options);
    // Continue the conversation, rewind it, or begin another.
    const auto more = random_prompt(20);
    const int action = pick(0, 3);
    if (action == 0) history.resize(pick(1, static_cast<int>(history.size())));
    if (action == 1) history = random_prompt(effort.longest_prompt);
    if (action >= 2) history.insert(history.end(), more.begin(), more.end());
    request.prompt = history;
    const Generation got = session.generate(request);
    const Generation want = engines_[0].generate(request);
    ASSERT_EQ(got.output_ids, want.output_ids) << "turn " << turn << ", action " << action;
    if (turn > 0 && action >= 2) {
      EXPECT_GT(got.stats.cached_tokens, 0);
    }
    history.insert(history.end(), got.output_ids.begin(), got.output_ids.end());
    if (history.size() > 400) history.resize(200);
  }
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, Exactness, testing::ValuesIn(efforts()),
                         [](const auto& info) { return name_of(info.param); });

}  // namespace
}  // namespace orthrus
