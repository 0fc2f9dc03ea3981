#include "network/pass_plan.h"

#include <gtest/gtest.h>

#include "kernels/cpu/cpu_ops.h"

namespace orthrus {
namespace {

class Plan : public testing::Test {
 protected:
  static constexpr KvLayout kLayout{.layers = 1, .kv_heads = 1, .head_dim = 8};

  // With room for `room` positions behind `length`.
  KvSequence sequence(int length, int room) {
    KvSequence made(pool_);
    EXPECT_EQ(made.reserve(length + room), Status::kOk);
    made.commit(length);
    return made;
  }
  static std::span<const int32_t> tokens(int count) {
    static const std::vector<int32_t> ids(100, 1);
    return std::span(ids).first(static_cast<size_t>(count));
  }

  CpuOps ops_{1};
  KvPool pool_{ops_, kLayout, 16};
};

TEST_F(Plan, DealsOutRowsByViewAndHeadRowsByKind) {
  const SamplingParams sampled{.temperature = 1};
  const RowContext context({.repetition_penalty = 2}, {}, 10, 0);
  const KvSequence a = sequence(10, 10), b = sequence(70, 0), c = sequence(3, 10),
                   d = sequence(5, 10);
  const Span spans[] = {
      {.sequence = &b,
       .tokens = tokens(65),
       .view = View::kDiffusion,
       .logits_end = 65,
       .output = HeadOutput::kChoiceAndProbability},
      {.sequence = &a, .tokens = tokens(4), .logits_begin = 3, .logits_end = 4},
      {.sequence = &c,
       .tokens = tokens(2),
       .logits_end = 2,
       .output = HeadOutput::kChoice,
       .sampling = &sampled,
       .context = &context},
      {.sequence = &d, .tokens = tokens(3), .logits_end = 1, .output = HeadOutput::kChoice}};
  PassPlan plan;
  ASSERT_EQ(plan.make(spans), Status::kOk);
  EXPECT_EQ(plan.rows.ar, 9);
  EXPECT_EQ(plan.rows.diffusion, 65);
  EXPECT_EQ(plan.spans[0].first_row, 0);
  EXPECT_EQ(plan.spans[1].first_row, 0);
  EXPECT_EQ(plan.spans[2].first_row, 4);
  EXPECT_EQ(plan.spans[3].first_row, 6);

  EXPECT_EQ(plan.full_rows(), 3);  // one as it is, two to sample from
  EXPECT_EQ(plan.logits_rows, 1);
  EXPECT_EQ(plan.top_rows(), 66);
  EXPECT_EQ(plan.top.ar, 1);
  EXPECT_EQ(plan.spans[3].first_head_row, 0);  // of top rows: the AR view's
  EXPECT_EQ(plan.spans[0].first_head_row, 1);
  EXPECT_TRUE(plan.spans[1].logits);
  EXPECT_TRUE(plan.probability);

  ASSERT_EQ(plan.sampled.size(), 2u);
  EXPECT_EQ(plan.sampled[1].head_row, 2);
  EXPECT_EQ(plan.sampled[1].position(spans), 3 + 1 + 1);
  EXPECT_EQ(plan.contexts, std::vector{&context});
  EXPECT_EQ(plan.spans[2].context, 0);
  EXPECT_EQ(plan.longest, 135);
  EXPECT_EQ(plan.block_pages, 2);

  // Nothing is left of it in the next one.
  ASSERT_EQ(plan.make(std::span(spans).subspan(1, 1)), Status::kOk);
  EXPECT_EQ(plan.all_rows(), 4);
  EXPECT_EQ(plan.top_rows() + static_cast<int>(plan.sampled.size()) + plan.block_pages, 0);
  EXPECT_EQ(plan.longest, 14);
  EXPECT_FALSE(plan.probability);
}

// Where a backend adds the pairwise term, whole rows of drafts are wanted, whatever they are chosen
// by; of what is asked for as it is nothing changes.
TEST_F(Plan, ChoicesWithAPairwiseTermAreChains) {
  const KvSequence a = sequence(10, 10), b = sequence(5, 10), c = sequence(7, 10);
  const Span spans[] = {
      {.sequence = &a,
       .tokens = tokens(4),
       .view = View::kDiffusion,
       .logits_end = 4,
       .output = HeadOutput::kChoice},
      {.sequence = &b, .tokens = tokens(3), .logits_end = 3, .output = HeadOutput::kChoice},
      {.sequence = &c, .tokens = tokens(2), .view = View::kDiffusion, .logits_end = 2}};
  PassPlan plan;
  ASSERT_EQ(plan.make(spans, true), Status::kOk);
  EXPECT_TRUE(plan.spans[0].chained);
  EXPECT_FALSE(plan.spans[1].chained);
  EXPECT_FALSE(plan.spans[2].chained);
  EXPECT_EQ(plan.full.diffusion, 6);
  EXPECT_EQ(plan.top.ar, 3);
  EXPECT_EQ(plan.logits_rows, 2);
  ASSERT_EQ(plan.sampled.size(), 4u);
  EXPECT_EQ(plan.sampled[3].row, 3);
  EXPECT_EQ(plan.sampled[3].position(spans), 14);

  ASSERT_EQ(plan.make(spans), Status::kOk);
  EXPECT_FALSE(plan.spans[0].chained);
  EXPECT_EQ(plan.top.diffusion, 4);
  EXPECT_TRUE(plan.sampled.empty());
}

TEST_F(Plan, RefusesTokensThatHaveNoRoom) {
  const KvSequence full = sequence(kPageSize, 0);
  Span span{.sequence = &full, .tokens = tokens(1)};
  PassPlan plan;
  EXPECT_EQ(plan.make(std::span(&span, 1)), Status::kOutOfMemory);
  span.view = View::kDiffusion;  // leaves nothing in the cache
  EXPECT_EQ(plan.make(std::span(&span, 1)), Status::kOk);
}

}  // namespace
}  // namespace orthrus
