// Greedy decoding of tiny-code in BF16, on a CUDA device and on the processor, against greedy
// decoding on the processor in float32. A token may differ only where the float32 logits of the two
// are so close that the error of logits in BF16 can turn them round.
//
// They are compared position by position after the same tokens, those of float32, so that one
// difference does not make another text, whose differences would say nothing. Greedy texts are
// soon sure of themselves, so texts that were sampled are read too: what would have come greedily
// after their tokens nearly ties more often.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "backends/cpu/cpu_model.h"
#include "backends/cuda/cuda_model.h"
#include "orthrus/engine.h"
#include "support/code_prompts.h"
#include "support/model.h"
#include "support/passes.h"

namespace orthrus {
namespace {

constexpr int kTokens = 200;

const std::filesystem::path kDirectory = std::filesystem::path(ORTHRUS_MODELS) / "tiny-code";

int32_t argmax(std::span<const float> row) {
  return static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

double squared_norm(std::span<const float> row) {
  double sum = 0;
  for (const float x : row) sum += static_cast<double>(x) * x;
  return sum;
}

// What float32 continues a prompt with, and the rows of logits after it and each of its tokens.
struct Text {
  bool greedy;
  std::vector<int32_t> ids;
  std::vector<Row> float32, bf16;
  std::vector<int32_t> by_itself;  // what the engine in BF16 continues the prompt with
};

std::vector<Row> rows_after(const DeviceModel& model, std::span<const int32_t> prompt,
                            std::span<const int32_t> ids) {
  std::vector<int32_t> tokens(prompt.begin(), prompt.end());
  tokens.insert(tokens.end(), ids.begin(), ids.end() - 1);
  const auto lane = model.start(64);
  KvSequence sequence(lane->pool());
  const ConstRows got = logits_of(*lane, sequence, tokens, View::kAutoregressive);
  std::vector<Row> rows;
  for (int r = static_cast<int>(prompt.size()) - 1; r < got.rows; ++r) {
    rows.emplace_back(got.row(r), got.row(r) + got.cols);
  }
  return rows;
}

// `engine` and `model` compute the same, in BF16.
std::vector<Text> texts_of(const Engine& engine, const DeviceModel& model, int prompts) {
  const Engine float32 = Engine::load(kDirectory, {.weights = DType::kF32});
  const CpuModel float32_model(load_model(kDirectory, {.type = DType::kF32}), float32.threads());
  std::vector<Text> texts;
  for (const char* prompt : std::span(test::kCodePrompts).first(static_cast<size_t>(prompts))) {
    for (const float temperature : {0.0f, 1.0f}) {
      Request request;
      request.prompt = float32.encode(prompt);
      request.options.max_tokens = kTokens;
      request.options.ignore_eos = true;
      request.options.sampling.temperature = temperature;
      Text& text = texts.emplace_back();
      text.greedy = request.options.sampling.greedy();
      text.ids = float32.generate(request).output_ids;
      text.float32 = rows_after(float32_model, request.prompt, text.ids);
      text.bf16 = rows_after(model, request.prompt, text.ids);
      if (text.greedy) text.by_itself = engine.generate(request).output_ids;
    }
  }
  return texts;
}

void check(const std::string& name, const Engine& engine, const DeviceModel& model, int prompts) {
  const std::vector<Text> texts = texts_of(engine, model, prompts);

  // The error of logits, over all rows, relative to their norm.
  double error = 0, norm = 0;
  for (const Text& text : texts) {
    for (size_t i = 0; i < text.ids.size(); ++i) {
      norm += squared_norm(text.float32[i]);
      for (size_t v = 0; v < text.float32[i].size(); ++v) {
        const double d = static_cast<double>(text.bf16[i][v]) - text.float32[i][v];
        error += d * d;
      }
    }
  }
  const double relative_error = std::sqrt(error / norm);
  EXPECT_LT(relative_error, bf16_tolerance(model.config()));

  // Of two logits of one row, the difference errs by the root of two times that; five times as much
  // is the most that the largest of some thousand such errors may come to. The bound is of all
  // rows' error, not the row's own, by which any difference would be excused.
  const auto bound_of = [&](std::span<const float> row) {
    const double per_logit = relative_error * std::sqrt(squared_norm(row) / row.size());
    return 5 * std::sqrt(2.0) * per_logit;
  };
  int positions = 0, different = 0, decided = 0, greedy = 0, same_texts = 0;
  double widest = 0;
  for (size_t t = 0; t < texts.size(); ++t) {
    const Text& text = texts[t];
    ASSERT_EQ(text.ids.size(), static_cast<size_t>(kTokens));
    size_t same = text.ids.size();
    for (size_t i = 0; i < text.ids.size(); ++i) {
      const Row& row = text.float32[i];
      const int32_t want = argmax(row), got = argmax(text.bf16[i]);
      if (text.greedy) {
        ASSERT_EQ(want, text.ids[i]) << "not the row that the token came from";
      }
      const double bound = bound_of(row);
      Row others = row;
      others[want] = -HUGE_VALF;
      decided += row[want] - others[argmax(others)] > bound;
      ++positions;
      if (got == want) continue;
      ++different;
      same = std::min(same, i);
      const double gap = row[want] - row[got];
      widest = std::max(widest, gap / bound);
      std::printf("%s, text %zu, token %zu: %d, in float32 %d; gap %.5f, allowed %.5f\n",
                  name.c_str(), t, i, got, want, gap, bound);
      EXPECT_LE(gap, bound);
    }
    if (!text.greedy) continue;
    // By itself the engine writes what its rows say, up to where the text becomes another.
    ++greedy;
    same_texts += text.by_itself == text.ids;
    ASSERT_EQ(text.by_itself.size(), text.ids.size());
    for (size_t i = 0; i < std::min(same + 1, text.ids.size()); ++i) {
      ASSERT_EQ(text.by_itself[i], argmax(text.bf16[i])) << "text " << t << ", token " << i;
    }
  }
  std::printf(
      "%s: %d of %d greedy texts are float32's; %d of %d tokens differ, by at most %.2f of "
      "the gap allowed; logits err by %.4f; at %d tokens any other would fail\n",
      name.c_str(), same_texts, greedy, different, positions, widest, relative_error, decided);
  EXPECT_GT(decided, positions / 2) << "too few for this test to mean much";
}

TEST(NearTies, CpuInBf16DiffersFromFloat32WhereTokensNearlyTie) {
  const Engine engine =
      Engine::load(kDirectory, {.weights = DType::kBF16, .kv_cache = DType::kBF16});
  CpuWeights model = load_model(kDirectory, {.type = DType::kBF16});
  model.kv_type = DType::kBF16;
  check("cpu", engine, CpuModel(std::move(model), engine.threads()), 4);
}

TEST(NearTies, CudaDiffersFromFloat32WhereTokensNearlyTie) {
  if (cuda_devices() == 0) GTEST_SKIP() << "no CUDA device";
  const Engine engine = Engine::load(kDirectory, {.device = {Device::Kind::kCuda}});
  const auto model = cuda::load_model(load_config(kDirectory), Checkpoint::open(kDirectory),
                                      kDirectory.string(), 0, {});
  check("cuda", engine, *model, std::size(test::kCodePrompts));
}

}  // namespace
}  // namespace orthrus
