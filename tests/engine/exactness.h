// Random requests, ways to continue them, and the comparison with plain decoding.
#pragma once

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <future>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "engine/exactness_models.h"
#include "orthrus/engine.h"
#include "orthrus/published_shapes.h"
#include "support/code_prompts.h"
#include "support/fresh_seed.h"
#include "support/near_ties.h"
#include "support/temporary_directory.h"

namespace orthrus {

inline const SamplingParams kSampling[] = {
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
  std::optional<WeightType> weights = {};
  int64_t instruction_set = 0;  // 0: the best that there is
  DType kv_cache = DType::kF32;
  bool cuda = false;
  int more_greedy = 0;               // further prompts that are continued greedily
  std::optional<DType> blocks = {};  // of "qwen2" and "qwen3": what their file holds; none: a mix

  bool synthetic() const { return published_shape(model).has_value(); }
  bool has_block_file() const {
    return model == std::string("qwen2") || model == std::string("qwen3");
  }
};

inline std::string name_of(const Effort& effort) {
  std::string name = effort.model;
  for (char& c : name) {
    if (c == '-' || c == '.') c = '_';  // GoogleTest's names
  }
  if (effort.has_block_file()) {
    name += fmt::format("_{}_file", effort.blocks ? orthrus::name_of(*effort.blocks) : "mixed");
  }
  if (effort.weights) {
    const std::optional<DType> one = effort.weights->one();
    name += fmt::format("_{}", one ? orthrus::name_of(*one) : "native");
  }
  if (effort.instruction_set != 0) {
    name += fmt::format("_{}", hwy::TargetName(effort.instruction_set));
  }
  if (effort.kv_cache != DType::kF32) {
    name += fmt::format("_cache_{}", orthrus::name_of(effort.kv_cache));
  }
  if (effort.cuda) name += "_cuda";
  return name;
}

inline void PrintTo(const Effort& effort, std::ostream* out) {
  *out << name_of(effort);
}

inline std::filesystem::path path_of(const Effort& effort, const std::filesystem::path& own) {
  const std::string model = effort.model;
  if (effort.has_block_file()) {
    write_block_near_ties(own / "model.gguf", model == "qwen2", effort.blocks);
    return own / "model.gguf";
  }
  const int pair_rank = model.ends_with("_pairs") ? 12 : 0;
  if (model.starts_with("qwen2_near_ties")) {
    write_qwen2_near_ties(own / "model.gguf", pair_rank);
    return own / "model.gguf";
  }
  if (model == "tiny-code") return std::filesystem::path(ORTHRUS_MODELS) / model;
  if (!model.starts_with("near_ties")) {
    return std::filesystem::path(ORTHRUS_TEST_DATA) / "golden" / model;
  }
  write_near_ties(own, DType::kF32, pair_rank);
  return own;
}

// A prompt, and one of the ways to continue it.
struct Trial {
  int number;  // of the plain request that asks for the same tokens
  Request request;
  Generation got = {};
  bool may_be_cancelled = false;
};

// Requests that are generated together.
struct Batch {
  const Engine* engine;
  std::vector<Trial> trials;
};

inline std::string describe(const Trial& trial, const Batch& batch) {
  const GenerateOptions& o = trial.request.options;
  return fmt::format(
      "request {} of {} tokens: mode {}, block {}, tree {}, chunk {}, {} in the batch, priority "
      "{}, salt "
      "'{}', {} tokens cached, {} preemptions, {} threads, T {}, sampling seed {}, penalties {}, "
      "{}, "
      "{}, {} biases",
      trial.number, trial.request.prompt.size(), orthrus::name_of(*o.mode), o.block_size,
      o.tree_nodes.value_or(-1), o.prefill_chunk, batch.trials.size(), o.priority, o.cache_salt,
      trial.got.stats.cached_tokens, trial.got.stats.preemptions, batch.engine->threads(),
      o.sampling.temperature, o.sampling.seed, o.sampling.repetition_penalty,
      o.sampling.presence_penalty, o.sampling.frequency_penalty, o.sampling.logit_bias.size());
}

// Tokens that were compared with those of plain decoding.
struct Compared {
  int64_t tokens = 0;
  int64_t accepted = 0;   // of them, drafts that were accepted
  int64_t differing = 0;  // of them
};

// A run may ask for fewer tokens than the plain request did, and be cancelled before it has those.
// Reports the first difference; the text after it is another one.
inline void compare(const Batch& batch, const Trial& trial, const Generation& plain,
                    Compared& count) {
  const std::span<const int32_t> got = trial.got.output_ids, want = plain.output_ids;
  const bool cancelled = trial.got.finish_reason == FinishReason::kCancelled;
  ASSERT_EQ(trial.got.status, Status::kOk) << describe(trial, batch);
  ASSERT_TRUE(!cancelled || trial.may_be_cancelled) << describe(trial, batch);
  if (!cancelled) {
    ASSERT_EQ(got.size(), static_cast<size_t>(trial.request.options.max_tokens))
        << describe(trial, batch);
  }
  ASSERT_LE(got.size(), want.size()) << describe(trial, batch);
  bool same = true;
  for (size_t i = 0; i < got.size(); ++i) {
    if (got[i] == want[i]) continue;
    ++count.differing;
    if (!std::exchange(same, false)) continue;
    ADD_FAILURE() << "at position " << trial.request.prompt.size() + i << " token " << got[i]
                  << ", in plain decoding " << want[i] << "; " << describe(trial, batch);
  }
  const auto begins_as = [](const auto& own, const auto& whole) {
    return own.size() <= whole.size() && std::equal(own.begin(), own.end(), whole.begin());
  };
  const size_t with_logprobs = trial.request.options.logprobs ? got.size() : 0;
  ASSERT_EQ(trial.got.logprobs.size(), with_logprobs) << describe(trial, batch);
  EXPECT_TRUE(begins_as(trial.got.logprobs, plain.logprobs)) << describe(trial, batch);
  EXPECT_TRUE(begins_as(trial.got.prompt_logprobs, plain.prompt_logprobs))
      << describe(trial, batch);
  if (!cancelled) {
    EXPECT_EQ(trial.got.prompt_logprobs.size(), plain.prompt_logprobs.size())
        << describe(trial, batch);
  }
  count.tokens += static_cast<int64_t>(got.size());
  count.accepted += trial.got.stats.accepted;
}

inline void report(const std::string& name, const Compared& count) {
  std::printf("%s: %lld tokens compared, %lld of them accepted drafts, %lld different\n",
              name.c_str(), static_cast<long long>(count.tokens),
              static_cast<long long>(count.accepted), static_cast<long long>(count.differing));
}

class Exactness : public testing::TestWithParam<Effort> {
 protected:
  Exactness() {
    const Effort& effort = GetParam();
    hwy::SetSupportedTargetsForTest(effort.instruction_set);
    EngineOptions options{.weights = effort.weights};
    if (!effort.synthetic()) path_ = path_of(effort, own_.path());
    const auto add = [&] {
      engines_.push_back(effort.synthetic()
                             ? Engine::synthetic(*published_shape(effort.model), options)
                             : Engine::load(path_, options));
    };
    if (effort.cuda) {
      options.device = {Device::Kind::kCuda};
      add();
    } else {
      options.kv_cache = effort.kv_cache;
      for (const int threads : {1, 2, 3}) {
        options.threads = threads;
        add();
      }
      options.threads = 2;
    }
    options.draft_weights = effort.weights == DType::kQ8_0 ? DType::kBF16 : DType::kQ8_0;
    add();
  }
  ~Exactness() override { hwy::SetSupportedTargetsForTest(0); }

  const ModelConfig& config() const { return engines_[0].config(); }
  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  template <typename T>
  T any_of(std::initializer_list<T> values) {
    return values.begin()[pick(0, static_cast<int>(values.size()) - 1)];
  }

  // One that nothing has been cached with.
  std::string fresh_salt() { return fmt::format("{}", ++salts_); }

  // One that begins as an earlier one did, to a border of the cache's pages or anywhere, or
  // another.
  std::vector<int32_t> related_prompt(int longest) {
    if (prompts_.empty() || pick(0, 2) == 0) {
      prompts_.push_back(random_prompt(longest));
    } else {
      std::vector<int32_t> prompt = any_prompt();
      const auto size = static_cast<int>(prompt.size());
      const int shared = any_of({63, 64, 65, 127, 128, size, pick(1, size)});
      prompt.resize(static_cast<size_t>(std::min(shared, size)));
      const auto rest = random_prompt(20);
      if (pick(0, 3) > 0) prompt.insert(prompt.end(), rest.begin(), rest.end());
      if (prompt.size() > static_cast<size_t>(longest)) prompt.resize(static_cast<size_t>(longest));
      prompts_.push_back(std::move(prompt));
    }
    return prompts_.back();
  }
  const std::vector<int32_t>& any_prompt() {
    return prompts_[static_cast<size_t>(pick(0, static_cast<int>(prompts_.size()) - 1))];
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
    plain.prompt = related_prompt(GetParam().longest_prompt);
    plain.options.sampling = sampling;
    plain.options.sampling.seed = random_();
    plain.options.max_tokens = pick(GetParam().tokens / 2, GetParam().tokens);
    plain.options.ignore_eos = true;
    plain.options.mode = Mode::kAr;
    plain.options.prefill_chunk = 1 << 20;
    plain.options.cache_salt = fresh_salt();
    if (pick(0, 5) == 0) plain.options.logprobs = pick(0, 3);
    if (pick(0, 7) == 0) plain.options.prompt_logprobs = pick(0, 3);
    return plain;
  }

  // Another way to compute the same, or the beginning of it.
  Request varied(Request request, bool whole_prompt) {
    GenerateOptions& options = request.options;
    constexpr Mode kModes[] = {Mode::kAr, Mode::kDual, Mode::kDual, Mode::kAuto, Mode::kAuto};
    options.mode = kModes[pick(0, 4)];
    options.block_size = *options.mode == Mode::kAr ? 0 : pick(2, config().block_size);
    if (options.sampling.greedy()) {
      options.accept = any_of({AcceptRule::kMatch, AcceptRule::kRejection});  // the same then
    }
    if (pick(0, 2) == 0) options.block_size = 0;
    if (*options.mode != Mode::kAr && pick(0, 2) > 0) {
      options.tree_nodes = any_of({0, 2, 8, 32, 64, 128, pick(2, 16), pick(2, 128)});
    }
    options.lookup = pick(0, 3) > 0;
    if (!whole_prompt) options.prefill_chunk = any_of({1, 7, 64, 1 << 20});
    if (pick(0, 7) == 0) options.max_tokens = pick(1, options.max_tokens);
    options.priority = pick(-1, 1);
    options.cache_salt = pick(0, 1) == 0 ? fresh_salt() : "";
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
      // Several times the same: one of them computes the prompt for all.
      const Request again = plain[batch.trials[0].number];
      for (int i = pick(0, 3) == 0 ? pick(1, 3) : 0; i > 0; --i) {
        batch.trials.push_back({batch.trials[0].number, varied(again, whole_prompts)});
        batch.trials.back().request.options.cache_salt = batch.trials[0].request.options.cache_salt;
      }
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

  std::mt19937 random_{test::fresh_seed()};
  test::TemporaryDirectory own_;
  std::filesystem::path path_;                 // of the model, unless it is synthetic
  std::vector<std::vector<int32_t>> prompts_;  // of plain requests
  int salts_ = 0;
  // Of 1, 2 and 3 threads, or two on a CUDA device; and one that drafts with other weights.
  std::vector<Engine> engines_;
};

}  // namespace orthrus
