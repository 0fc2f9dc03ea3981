// Which passes are measured where nothing is said, and what cycles come of measured ones.
#include "cli/roofline_passes.h"

#include <gtest/gtest.h>

#include <set>

#include "orthrus/published_shapes.h"

namespace orthrus::cli {
namespace {

const Device kProcessor{}, kCuda{Device::Kind::kCuda, 0};

std::vector<int> rows_of(const std::vector<PassShape>& passes, PassKind kind, int context) {
  std::vector<int> rows;
  for (const PassShape& pass : passes) {
    if (pass.kind == kind && pass.context == context) rows.push_back(pass.rows);
  }
  return rows;
}

std::set<int> contexts_of(const std::vector<PassShape>& passes) {
  std::set<int> contexts;
  for (const PassShape& pass : passes) contexts.insert(pass.context);
  return contexts;
}

TEST(RooflinePasses, WhatSuitsTheProcessor) {
  const auto passes = passes_of(*published_shape("qwen3-0.6b"), kProcessor, {});
  EXPECT_EQ(contexts_of(passes), std::set{512});
  EXPECT_EQ(rows_of(passes, PassKind::kAr, 512), (std::vector{1, 2, 4, 8, 16, 32}));
  EXPECT_EQ(rows_of(passes, PassKind::kDraft, 512), (std::vector{1, 3, 7, 15, 31}));
  EXPECT_EQ(rows_of(passes, PassKind::kPrefill, 512), std::vector{256});
  EXPECT_EQ(most_accepted(passes), 31);
}

TEST(RooflinePasses, WhatSuitsADevice) {
  const auto passes = passes_of(*published_shape("qwen3-8b"), kCuda, {});
  EXPECT_EQ(contexts_of(passes), (std::set{512, 4096, 16384, 32768}));
  for (const int context : contexts_of(passes)) {
    EXPECT_EQ(rows_of(passes, PassKind::kAr, context), (std::vector{1, 2, 4, 8, 16, 32, 64, 128}));
    EXPECT_EQ(rows_of(passes, PassKind::kDraft, context), (std::vector{1, 3, 7, 15, 31}));
    EXPECT_EQ(rows_of(passes, PassKind::kPrefill, context), std::vector{2048});
  }
}

TEST(RooflinePasses, TheModelsOwnBlockIsAmongThem) {
  ModelConfig config = *published_shape("qwen3-0.6b");
  config.block_size = 24;
  const auto passes = passes_of(config, kProcessor, {});
  EXPECT_EQ(rows_of(passes, PassKind::kAr, 512), (std::vector{1, 2, 4, 8, 16, 24, 32}));
  EXPECT_EQ(rows_of(passes, PassKind::kDraft, 512), (std::vector{1, 3, 7, 15, 23}));
  config.block_size = 0;
  EXPECT_EQ(most_accepted(passes_of(config, kProcessor, {})), 0);
}

TEST(RooflinePasses, WhatTheModelHasNoRoomForIsLeftOut) {
  ModelConfig config = *published_shape("qwen3-0.6b");
  config.max_position_embeddings = 4160;
  auto passes = passes_of(config, kCuda, {});
  EXPECT_EQ(contexts_of(passes), (std::set{512, 4096}));
  EXPECT_EQ(rows_of(passes, PassKind::kPrefill, 512), std::vector{2048});
  EXPECT_EQ(rows_of(passes, PassKind::kAr, 4096), (std::vector{1, 2, 4, 8, 16, 32, 64}));
  EXPECT_TRUE(rows_of(passes, PassKind::kPrefill, 4096).empty());
  // Rows that were asked for are not left out, so contexts are.
  passes = passes_of(config, kCuda, {.rows = std::vector{65}, .contexts = {}});
  EXPECT_EQ(contexts_of(passes), std::set{512});
  config.max_position_embeddings = 100;
  EXPECT_EQ(contexts_of(passes_of(config, kCuda, {})), std::set{50});
}

TEST(RooflinePasses, WhatIsAskedForIsMeasured) {
  ModelConfig config = *published_shape("qwen3-0.6b");
  config.block_size = 8;
  const auto passes =
      passes_of(config, kCuda, {.rows = std::vector{8, 9, 129}, .contexts = std::vector{7, 0}});
  EXPECT_EQ(passes, (std::vector<PassShape>{{PassKind::kAr, 8, 7},
                                            {PassKind::kAr, 9, 7},
                                            {PassKind::kDraft, 7, 7},
                                            {PassKind::kPrefill, 129, 7},
                                            {PassKind::kAr, 8, 0},
                                            {PassKind::kAr, 9, 0},
                                            {PassKind::kDraft, 7, 0},
                                            {PassKind::kPrefill, 129, 0}}));
  // It is for Engine::measure to say that this one is too long.
  EXPECT_EQ(passes_of(config, kCuda, {.rows = {}, .contexts = std::vector{99999999}}),
            (std::vector<PassShape>{{PassKind::kAr, 1, 99999999}}));
}

TEST(RooflinePasses, CyclesAreOfTheLargestBlock) {
  Roofline roofline;
  const auto add = [&](PassShape shape, double seconds) {
    roofline.passes.push_back({});
    roofline.passes.back().shape = shape;
    roofline.passes.back().seconds = seconds;
  };
  add({PassKind::kAr, 1, 512}, 0.5);
  add({PassKind::kAr, 4, 512}, 0.75);
  add({PassKind::kAr, 8, 512}, 1);
  add({PassKind::kDraft, 3, 512}, 0.5);
  add({PassKind::kDraft, 7, 512}, 3);
  add({PassKind::kAr, 4, 4096}, 1.25);
  add({PassKind::kDraft, 3, 4096}, 0.75);
  add({PassKind::kDraft, 3, 9}, 0.75);  // never verified
  const std::vector<Cycle> cycles = cycles_of(roofline);
  ASSERT_EQ(cycles.size(), 2u);
  EXPECT_EQ(cycles[0].context, 512);
  EXPECT_EQ(cycles[0].block, 8);
  EXPECT_EQ(cycles[0].per_second(), 0.25);
  EXPECT_EQ(cycles[0].tokens_per_second(1), 0.5);
  EXPECT_EQ(cycles[0].ar_seconds, 0.5);
  EXPECT_EQ(cycles[1].context, 4096);
  EXPECT_EQ(cycles[1].block, 4);
  EXPECT_EQ(cycles[1].per_second(), 0.5);
  EXPECT_FALSE(cycles[1].ar_seconds);
}

}  // namespace
}  // namespace orthrus::cli
