// The same logits as the official implementation, in both views.
#include "support/golden.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/cpu/cpu_ops.h"
#include "support/model.h"

namespace orthrus {
namespace {

constexpr double kTolerance = 2e-4;  // relative to max(1, |expected|)

void expect_logits(ConstRows got, const Logits& want, const char* what) {
  ASSERT_EQ(got.rows, want.rows) << what;
  ASSERT_EQ(got.cols, want.cols) << what;
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

class GoldenLogits : public testing::TestWithParam<const char*> {};

// Prefill, draft and verify, as one cycle of the decoder would run them.
void check(const Golden& golden, const Model& model, const Ops& ops) {
  for (const GoldenCase& c : golden.cases) {
    SCOPED_TRACE(testing::Message() << "prompt of " << c.prompt.size() << " tokens");
    TestSequence s(model, ops);
    CpuForwardPass pass(model, ops);
    const auto run = [&](std::span<const int32_t> tokens, View view) {
      const Span span{&s.sequence, tokens, view, 0, static_cast<int>(tokens.size())};
      ASSERT_EQ(pass.run(std::span(&span, 1)), Status::kOk);
    };
    run(c.prompt, View::kAutoregressive);
    expect_logits(pass.logits(0), c.prefill, "prefill");
    EXPECT_EQ(s.sequence.length(), static_cast<int>(c.prompt.size()));

    std::vector<int32_t> block(c.proposed.size(), model.config.mask_token_id);
    block[0] = c.proposed[0];
    run(block, View::kDiffusion);
    expect_logits(pass.logits(0), c.diffusion, "diffusion");
    EXPECT_EQ(s.sequence.length(), static_cast<int>(c.prompt.size()));
    const int drafts = static_cast<int>(c.proposed.size()) - 1;
    EXPECT_EQ(argmax_rows(pass.logits(0), drafts),
              std::vector<int32_t>(c.proposed.begin() + 1, c.proposed.end()));

    run(c.proposed, View::kAutoregressive);
    expect_logits(pass.logits(0), c.verify, "verify");
    EXPECT_EQ(argmax_rows(pass.logits(0), drafts + 1), c.verify_argmax);
    EXPECT_EQ(s.sequence.length(), static_cast<int>(c.prompt.size() + c.proposed.size()));
  }
}

TEST_P(GoldenLogits, CpuIsTheOfficialImplementation) {
  const Golden golden = load_golden(GetParam());
  ASSERT_EQ(golden.cases.size(), 4u);
  check(golden, load_model(golden.directory), CpuOps(2));
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, GoldenLogits, testing::Values("tied", "untied"));

}  // namespace
}  // namespace orthrus
