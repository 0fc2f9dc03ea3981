// The same logits as the official implementation, in both views: from the processor within what
// float32 rounds, from a CUDA device within what BF16 does.
#include "support/golden.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "backends/cpu/cpu_model.h"
#include "backends/cuda/cuda_model.h"
#include "support/model.h"
#include "support/passes.h"

namespace orthrus {
namespace {

using Compare = std::function<void(ConstRows got, const Logits& want, const char* what)>;

void expect_shape(ConstRows got, const Logits& want, const char* what) {
  ASSERT_EQ(got.rows, want.rows) << what;
  ASSERT_EQ(got.cols, want.cols) << what;
}

std::span<const float> row_of(const Logits& logits, int i) {
  return {logits.row(i), static_cast<size_t>(logits.cols)};
}
std::span<const float> row_of(ConstRows logits, int i) {
  return {logits.row(i), static_cast<size_t>(logits.cols)};
}

// Every logit.
void expect_float32(ConstRows got, const Logits& want, const char* what) {
  constexpr double kTolerance = 2e-4;  // relative to max(1, |expected|)
  ASSERT_NO_FATAL_FAILURE(expect_shape(got, want, what));
  for (int i = 0; i < want.rows; ++i) {
    for (int v = 0; v < want.cols; ++v) {
      const double expected = want.row(i)[v];
      ASSERT_NEAR(got.row(i)[v], expected, kTolerance * std::max(1.0, std::abs(expected)))
          << what << ", row " << i << ", token " << v;
    }
  }
}

std::vector<int32_t> argmax_rows(ConstRows logits, int rows) {
  std::vector<int32_t> ids;
  for (int i = 0; i < rows; ++i) {
    ids.push_back(static_cast<int32_t>(
        std::max_element(logits.row(i), logits.row(i) + logits.cols) - logits.row(i)));
  }
  return ids;
}

// Prefill, draft and verify, as one cycle of the decoder would run them. `same_ids`: whether what
// is largest must be the official implementation's too.
void check(const Golden& golden, Lane& lane, int mask, const Compare& compare, bool same_ids) {
  ASSERT_EQ(golden.cases.size(), 4u);
  for (const GoldenCase& c : golden.cases) {
    SCOPED_TRACE(testing::Message() << "prompt of " << c.prompt.size() << " tokens");
    KvSequence sequence(lane.pool());
    const int prompt = static_cast<int>(c.prompt.size());
    const int block_size = static_cast<int>(c.proposed.size());

    ConstRows got = logits_of(lane, sequence, c.prompt, View::kAutoregressive);
    compare(got, c.prefill, "prefill");
    EXPECT_EQ(sequence.length(), prompt);

    std::vector<int32_t> block(c.proposed.size(), mask);
    block[0] = c.proposed[0];
    got = logits_of(lane, sequence, block, View::kDiffusion);
    compare(got, c.diffusion, "diffusion");
    EXPECT_EQ(sequence.length(), prompt);
    if (same_ids) {
      EXPECT_EQ(argmax_rows(got, block_size - 1),
                std::vector<int32_t>(c.proposed.begin() + 1, c.proposed.end()));
    }

    got = logits_of(lane, sequence, c.proposed, View::kAutoregressive);
    compare(got, c.verify, "verify");
    if (same_ids) {
      EXPECT_EQ(argmax_rows(got, block_size), c.verify_argmax);
    }
    EXPECT_EQ(sequence.length(), prompt + block_size);
  }
}

class GoldenLogits : public testing::TestWithParam<const char*> {};

TEST_P(GoldenLogits, CpuIsTheOfficialImplementation) {
  const Golden golden = load_golden(GetParam());
  const CpuModel model(load_model(golden.directory), 2);
  const auto lane = model.start(64);
  check(golden, *lane, model.config().mask_token_id, expect_float32, true);
}

// That every row is within bf16_tolerance of the official one. For that to mean anything, a row of
// the wrong view must not be.
void check_bf16(const Golden& golden, const DeviceModel& model, const char* device) {
  const double tolerance = bf16_tolerance(model.config());
  const auto lane = model.start(64);
  double worst = 0;
  int rows = 0;
  const auto compare = [&](ConstRows got, const Logits& want, const char* what) {
    ASSERT_NO_FATAL_FAILURE(expect_shape(got, want, what));
    for (int i = 0; i < want.rows; ++i) {
      const double d = distance(row_of(got, i), row_of(want, i));
      EXPECT_LT(d, tolerance) << what << ", row " << i;
      worst = std::max(worst, d);
      ++rows;
    }
  };
  check(golden, *lane, model.config().mask_token_id, compare, false);

  double nearest = HUGE_VAL;
  for (const GoldenCase& c : golden.cases) {
    KvSequence sequence(lane->pool());
    logits_of(*lane, sequence, c.prompt, View::kAutoregressive);
    const ConstRows got = logits_of(*lane, sequence, c.proposed, View::kDiffusion);
    for (int i = 0; i < got.rows; ++i) {
      nearest = std::min(nearest, distance(row_of(got, i), row_of(c.verify, i)));
    }
  }
  std::printf(
      "%s, %s: %d rows at most %.4f from the official ones; allowed %.4f; of the wrong "
      "view at least %.4f\n",
      device, golden.directory.filename().c_str(), rows, worst, tolerance, nearest);
  EXPECT_GT(nearest, tolerance);
}

// What a CUDA device does, done on the processor: weights, activations and cache in BF16.
TEST_P(GoldenLogits, CpuInBf16IsWithinItsRounding) {
  const Golden golden = load_golden(GetParam());
  CpuWeights loaded = load_model(golden.directory, {.type = DType::kBF16});
  loaded.kv_type = DType::kBF16;
  check_bf16(golden, CpuModel(std::move(loaded), 2), "the processor in BF16");
}

TEST_P(GoldenLogits, CudaIsTheOfficialImplementationWithinBf16) {
  if (cuda::device_count() == 0) GTEST_SKIP() << "no CUDA device";
  const Golden golden = load_golden(GetParam());
  const auto model =
      cuda::load_model(load_config(golden.directory), Checkpoint::open(golden.directory),
                       golden.directory.string(), 0, {});
  check_bf16(golden, *model, "CUDA");
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, GoldenLogits, testing::Values("tied", "untied"));

}  // namespace
}  // namespace orthrus
