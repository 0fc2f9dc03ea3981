// What a process does with its floating-point environment changes no token, and what we do with
// ours is not seen outside.
#include <fenv.h>
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "orthrus/engine.h"
#include "support/near_ties.h"
#include "support/temporary_directory.h"

namespace orthrus {
namespace {

void flush_subnormals() {
#if defined(__x86_64__)
  _mm_setcsr(_mm_getcsr() | 0x8040);
#elif defined(__aarch64__)
  asm volatile("msr fpcr, %0" : : "r"(uint64_t{1} << 24));
#endif
}

struct Environment {
  const char* name;
  void (*set)();
};

const Environment kEnvironments[] = {
    {"as it was", [] {}},
    {"upward", [] { fesetround(FE_UPWARD); }},
    {"downward", [] { fesetround(FE_DOWNWARD); }},
    {"toward zero", [] { fesetround(FE_TOWARDZERO); }},
    {"no subnormal numbers", flush_subnormals},
    // A trap at the first rounding would end the process. One that has been before must not.
    {"every exception traps",
     [] {
       feclearexcept(FE_ALL_EXCEPT);
       feenableexcept(FE_ALL_EXCEPT);
     }},
};

// What arithmetic in this environment gives; the compiler knows none of it beforehand. Where
// exceptions trap it must not be asked.
std::array<float, 3> arithmetic() {
  volatile float one = 1, three = 3, tiny = 1e-38f, ten = 10;
  return {one / three, -one / three, tiny / ten};
}

class InEnvironment {
 public:
  explicit InEnvironment(const Environment& environment) {
    fegetenv(&before_);
    environment.set();
  }
  ~InEnvironment() { fesetenv(&before_); }

 private:
  fenv_t before_;
};

// The same in greedy and sampled decoding, in both modes, and by rejection.
std::vector<Request> requests() {
  std::vector<Request> all;
  for (const Mode mode : {Mode::kAr, Mode::kDual}) {
    for (const AcceptRule accept : {AcceptRule::kMatch, AcceptRule::kRejection}) {
      for (const float temperature : {0.0f, 0.8f}) {
        Request& request = all.emplace_back();
        for (int i = 0; i < 30; ++i) request.prompt.push_back(1 + i % 7 * 11);
        request.options.max_tokens = 24;
        request.options.mode = mode;
        request.options.accept = accept;
        request.options.sampling = {.temperature = temperature, .top_p = 0.9f, .seed = 5};
      }
    }
  }
  return all;
}

struct Result {
  std::vector<std::vector<int32_t>> ids;  // of every request alone, then in batches of two
  std::vector<double> scores;
  bool operator==(const Result&) const = default;
};

Result result_of(const Engine& engine) {
  Result result;
  const std::vector<Request> all = requests();
  for (const Request& request : all) result.ids.push_back(engine.generate(request).output_ids);
  for (size_t i = 0; i < all.size(); i += 2) {
    for (const Generation& g : engine.generate(std::span(all).subspan(i, 2))) {
      result.ids.push_back(g.output_ids);
    }
  }
  result.scores = engine.score(all[0].prompt);
  return result;
}

TEST(FloatEnvironment, ChangesNoTokenWhereverAProcessLoadsAndGenerates) {
  const test::TemporaryDirectory directory;
  write_near_ties(directory.path());
  const Result want = result_of(Engine::load(directory.path(), {.threads = 1}));
  const ModelConfig config = load_config(directory.path());
  const size_t count = requests().size();
  for (size_t i = 0; i < count; ++i) {
    EXPECT_EQ(want.ids[i].size(), 24u);
    EXPECT_EQ(want.ids[i], want.ids[count + i]) << "in a batch, request " << i;
  }
  for (const Environment& environment : kEnvironments) {
    ModelConfig read;
    {
      const InEnvironment in(environment);
      read = load_config(directory.path());
    }
    EXPECT_EQ(read.rms_norm_eps, config.rms_norm_eps) << environment.name;
    for (const int threads : {1, 2, 3}) {
      Result got;
      {
        const InEnvironment in(environment);
        got = result_of(Engine::load(directory.path(), {.threads = threads}));
      }
      EXPECT_EQ(got.ids, want.ids) << environment.name << ", " << threads << " threads";
      EXPECT_TRUE(got.scores == want.scores) << environment.name << ", " << threads << " threads";
    }
  }
}

TEST(FloatEnvironment, IsTheCallersInCallbacksAndAfterwards) {
  const test::TemporaryDirectory directory;
  write_near_ties(directory.path());
  Request request = requests()[1];
  for (const Environment& environment : kEnvironments) {
    int calls = 0, different = 0;
    {
      const InEnvironment in(environment);
      const bool traps = fegetexcept() != 0;
      const int rounding = fegetround();
      const auto numbers = traps ? std::array<float, 3>() : arithmetic();
      const auto check = [&] {
        ++calls;
        if (traps) {
          different += fegetexcept() == FE_ALL_EXCEPT ? 0 : 1;
        } else {
          different += fegetround() == rounding && arithmetic() == numbers ? 0 : 1;
        }
      };
      EngineOptions options{.threads = 2};
      options.on_load = [&](LoadStage, size_t, size_t) { check(); };
      const Engine engine = Engine::load(directory.path(), options);
      check();
      request.on_prefill = [&](int, int) {
        check();
        return true;
      };
      request.on_step = [&](const Step&) {
        check();
        return true;
      };
      engine.generate(request);
      check();
      Session session = engine.start_session();
      session.generate(request);
      engine.score(request.prompt);
      check();
    }
    EXPECT_GT(calls, 50) << environment.name;
    EXPECT_EQ(different, 0) << environment.name;
  }
}

TEST(FloatEnvironment, WhatACallbackSetsStaysSet) {
  const test::TemporaryDirectory directory;
  write_near_ties(directory.path());
  const Engine engine = Engine::load(directory.path(), {.threads = 2});
  Request request = requests()[0];
  const std::vector<int32_t> want = engine.generate(request).output_ids;
  request.on_step = [&](const Step&) {
    fesetround(FE_UPWARD);
    return true;
  };
  const std::vector<int32_t> got = engine.generate(request).output_ids;
  const int rounding = fegetround();
  fesetround(FE_TONEAREST);
  EXPECT_EQ(rounding, FE_UPWARD);
  EXPECT_EQ(got, want);
}

// Logits that a temperature takes below the least normal number: one row of a pass and several of
// them are chosen from in the same way, whatever of subnormal numbers the caller's way is.
class TinyLogits : public testing::TestWithParam<bool> {};

TEST_P(TinyLogits, OneRowIsSampledAsManyAre) {
  const test::TemporaryDirectory directory;
  auto json = small_config_json();
  json["tie_word_embeddings"] = true;
  write_config(directory.path(), json);
  auto tensors = random_tensors(load_config(directory.path()), DType::kF32);
  for (auto& tensor : tensors) {
    std::vector<float> values(tensor.bytes.size() / sizeof(float));
    std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
    const bool all_tiny = GetParam();
    for (float& value : values) {
      if (all_tiny && tensor.shape.size() == 2) value *= 1e-20f;
      if (tensor.name == "model.norm.weight") value = all_tiny ? 1e-18f : 1e-37f;
    }
    std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
  }
  test::write_safetensors(directory / "model.safetensors", tensors);

  constexpr SamplingParams kSampling[] = {{.temperature = 100, .top_k = 1},
                                          {.temperature = 50, .top_k = 3},
                                          {.temperature = 100, .top_p = 0.5f, .seed = 9},
                                          {.temperature = 1, .top_k = 2, .seed = 3}};
  for (const int threads : {1, 2}) {
    const Engine engine = Engine::load(directory.path(), {.threads = threads});
    for (const SamplingParams& sampling : kSampling) {
      Request request;
      request.prompt = {3, 4, 1};
      request.options.max_tokens = 30;
      request.options.sampling = sampling;
      request.options.mode = Mode::kAr;
      const std::vector<int32_t> want = engine.generate(request).output_ids;
      const Request both[] = {request, request};
      for (const Generation& g : engine.generate(both)) EXPECT_EQ(g.output_ids, want);
      for (const Environment& environment : kEnvironments) {
        std::vector<int32_t> ar, dual;
        {
          const InEnvironment in(environment);
          request.options.mode = Mode::kAr;
          ar = engine.generate(request).output_ids;
          request.options.mode = Mode::kDual;
          dual = engine.generate(request).output_ids;
        }
        EXPECT_EQ(ar, want) << environment.name << ", T " << sampling.temperature;
        EXPECT_EQ(dual, want) << environment.name << ", T " << sampling.temperature;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, TinyLogits, testing::Bool(), [](const auto& info) {
  return info.param ? "OfTinyWeights" : "OfATinyNorm";
});

}  // namespace
}  // namespace orthrus
