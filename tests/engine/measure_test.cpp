// Measuring: networks that are made up, and what their passes have to read and to do.
#include "orthrus/measure.h"

#include <gtest/gtest.h>

#include <set>

#include "network/network_weights.h"
#include "orthrus/engine.h"
#include "orthrus/published_shapes.h"
#include "support/expect_error_parts.h"

namespace orthrus {
namespace {

ModelConfig small() {
  ModelConfig config = *published_shape("qwen3-0.6b");
  config.vocab_size = 500;
  config.hidden_size = 64;
  config.intermediate_size = 96;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 32;
  config.max_position_embeddings = 256;
  config.block_size = 8;
  config.mask_token_id = 499;
  return config;
}

// As the published checkpoints' own headers count them, tied heads once.
TEST(PublishedShapes, HaveThePublishedParameters) {
  const std::pair<std::string_view, int64_t> cases[] = {
      {"qwen3-0.6b", 596049920},         {"qwen3-1.7b", 1720574976},
      {"qwen3-4b", 4022468096},          {"qwen3-8b", 8190735360},
      {"qwen2.5-coder-0.5b", 494032768}, {"qwen2.5-coder-1.5b", 1543714304}};
  for (const auto& [name, want] : cases) {
    int64_t parameters = 0;
    for (const TensorSpec& spec : expected_tensors(*published_shape(name))) {
      if (spec.view == View::kDiffusion) continue;
      int64_t size = 1;
      for (const int64_t extent : spec.shape) size *= extent;
      parameters += size;
    }
    EXPECT_EQ(parameters, want) << name;
  }
  EXPECT_EQ(published_shapes().size(), std::size(cases));
  EXPECT_FALSE(published_shape("qwen3-9b"));
}

TEST(Synthetic, NativeWeightsAreBf16) {
  const Engine engine = Engine::synthetic(small(), {.threads = 2, .weights = WeightType::native()});
  EXPECT_EQ(engine.weight_types(), std::vector{DType::kBF16});
}

TEST(Synthetic, GeneratesTheSameInBothModes) {
  for (const DType type : {DType::kBF16, DType::kQ8_0}) {
    const Engine engine = Engine::synthetic(small(), {.threads = 2, .weights = type});
    EXPECT_EQ(engine.weight_types(), std::vector{type});
    EXPECT_EQ(engine.tokenizer(), nullptr);
    Request request;
    request.prompt = {1, 2, 3};
    request.options.max_tokens = 60;
    request.options.sampling.temperature = 1;
    request.options.mode = Mode::kAr;
    const Generation ar = engine.generate(request);
    EXPECT_EQ(ar.status, Status::kOk);
    EXPECT_EQ(ar.output_ids.size(), 60u);
    // Random weights, but not the same few numbers again and again.
    EXPECT_GT(std::set(ar.output_ids.begin(), ar.output_ids.end()).size(), 5u);
    request.options.mode = Mode::kDual;
    EXPECT_EQ(engine.generate(request).output_ids, ar.output_ids);
  }
}

TEST(Synthetic, WhatDoesNotFitIsRefusedBeforeItIsMade) {
  ModelConfig config = *published_shape("qwen3-8b");
  config.num_hidden_layers = 100000;
  test::expect_error_parts([&] { Engine::synthetic(config); }, ErrorKind::kSystem,
                           {"The weights and a short context take", "GiB of memory"});
}

TEST(Measure, CountsWhatAPassReadsAndDoes) {
  const ModelConfig c = small();
  const Engine engine = Engine::synthetic(c, {.threads = 2});
  const PassShape shapes[] = {{PassKind::kAr, 1, 0},
                              {PassKind::kAr, 4, 100},
                              {PassKind::kDraft, 7, 100},
                              {PassKind::kPrefill, 70, 10}};
  const Roofline roofline = engine.measure(shapes, 3);
  EXPECT_GT(roofline.machine.bytes, 0);
  for (const auto& rate :
       {roofline.machine.flops, roofline.machine.pair_flops, roofline.machine.byte_flops}) {
    ASSERT_TRUE(rate);
    EXPECT_GT(*rate, 0);
  }
  // q, k, v, o; gate, up, down.
  const double layer = 64 * 128 + 2 * 64 * 64 + 128 * 64 + 3 * 64 * 96;
  const double head = 500 * 64;
  const double packed_head = 512 * 64;      // whole groups of 16 rows
  const double cache = 2 * 2 * 2 * 32 * 4;  // bytes of a position: layers, k and v, heads, floats
  const double visible = 4.0 * 4 * 32 * 2;  // operations of a visible position: heads, layers
  struct Want {
    int rows, head_rows, positions;
    double seen;
  };
  const Want wants[] = {{1, 1, 1, 1},
                        {4, 4, 104, 101 + 102 + 103 + 104},
                        {7, 7, 107, 7 * 107},
                        {70, 1, 80, 70 * 10 + 70 * 71 / 2}};
  ASSERT_EQ(roofline.passes.size(), std::size(wants));
  for (size_t i = 0; i < std::size(wants); ++i) {
    const PassMeasurement& pass = roofline.passes[i];
    const Want& want = wants[i];
    EXPECT_EQ(pass.shape, shapes[i]);
    EXPECT_GT(pass.machine.bytes, 0);
    EXPECT_GT(pass.seconds, 0);
    EXPECT_DOUBLE_EQ(pass.bytes, 2 * (2 * layer + packed_head) + cache * want.positions);
    EXPECT_DOUBLE_EQ(pass.flops,
                     2 * (2 * layer * want.rows + head * want.head_rows) + visible * want.seen);
  }
}

TEST(Measure, ShapesThatTheModelHasNotAreRefused) {
  const Engine engine = Engine::synthetic(small());
  struct Case {
    PassShape shape;
    std::string rows, valid;
  };
  const Case cases[] = {{{PassKind::kAr, 0, 0}, "0 rows", "1 to 256"},
                        {{PassKind::kDraft, 0, 0}, "draft pass has 0 rows", "1 to 7"},
                        {{PassKind::kDraft, 8, 0}, "draft pass has 8 rows", "1 to 7"},
                        {{PassKind::kAr, 257, 0}, "257 rows", "1 to 256"},
                        {{PassKind::kAr, 6, 251}, "context of a pass of 6 rows is 251", "0 to 250"},
                        {{PassKind::kAr, 1, -1}, "context of a pass of 1 row is -1", "0 to 255"}};
  for (const Case& c : cases) {
    test::expect_error_parts([&] { engine.measure(std::span(&c.shape, 1), 1); }, ErrorKind::kUsage,
                             {c.rows, c.valid});
  }
}

// What a draft reads may be of another type than what it is verified with.
TEST(Measure, EachViewHasItsOwnWeights) {
  const ModelConfig c = small();
  const Engine engine =
      Engine::synthetic(c, {.threads = 2, .draft_weights = DType::kF32, .kv_cache = DType::kBF16});
  const PassShape shapes[] = {{PassKind::kAr, 4, 64}, {PassKind::kDraft, 4, 64}};
  const Roofline roofline = engine.measure(shapes, 1);
  EXPECT_EQ(roofline.passes[0].weights, DType::kBF16);
  EXPECT_EQ(roofline.passes[1].weights, DType::kF32);
  const double cache = 2 * 2 * 2 * 32 * 2 * 68;
  EXPECT_DOUBLE_EQ(roofline.passes[1].bytes - cache, 2 * (roofline.passes[0].bytes - cache));
}

// It is asked before each of two passes, warm and timed, of each shape.
TEST(Measure, ThatIsCancelledHasNoResult) {
  const Engine engine = Engine::synthetic(small());
  const PassShape shapes[] = {{PassKind::kAr, 1, 0}, {PassKind::kAr, 2, 0}};
  constexpr int kRounds = 2, kAsked = 2 * 2 * kRounds;
  for (int last = 1; last <= kAsked + 1; ++last) {
    int asked = 0;
    const Roofline roofline = engine.measure(shapes, kRounds, [&] { return ++asked == last; });
    EXPECT_EQ(asked, std::min(last, kAsked));
    EXPECT_EQ(roofline.passes.size(), last <= kAsked ? 0u : 2u);
  }
}

TEST(Measure, NothingToMeasureIsNothing) {
  EXPECT_TRUE(Engine::synthetic(small()).measure({}, 1).passes.empty());
}

TEST(Measure, AContextThatDoesNotFitIsRefused) {
  ModelConfig config = small();
  config.max_position_embeddings = 2000000000;
  const Engine engine = Engine::synthetic(config);
  const PassShape shape{PassKind::kAr, 1, 1999999999};
  test::expect_error_parts([&] { engine.measure(std::span(&shape, 1), 1); }, ErrorKind::kSystem,
                           {"2000000000 positions take 1907.3 GiB", "GiB of memory"});
}

TEST(Measure, TakesARoundAtLeast) {
  const Engine engine = Engine::synthetic(small());
  const PassShape shape;
  test::expect_error_parts([&] { engine.measure(std::span(&shape, 1), 0); }, ErrorKind::kUsage,
                           {"rounds is 0", "1 or more"});
}

TEST(KvCache, OnlyFloatTypesOfTheCacheAreTaken) {
  for (const DType type : {DType::kF16, DType::kQ8_0}) {
    test::expect_error_parts([&] { Engine::synthetic(small(), {.kv_cache = type}); },
                             ErrorKind::kUsage, {"kv_cache is", "F32 or BF16"});
  }
}

TEST(Weights, AreNotConvertedToFormatsThatOnlyFilesHave) {
  for (const DType type : {DType::kQ4_0, DType::kQ4_K, DType::kIQ4_XS}) {
    test::expect_error_parts([&] { Engine::synthetic(small(), {.weights = type}); },
                             ErrorKind::kUsage, {"weights is", "F32, F16, BF16, Q8_0 or native"});
    test::expect_error_parts([&] { Engine::synthetic(small(), {.draft_weights = type}); },
                             ErrorKind::kUsage,
                             {"draft_weights is", "F32, F16, BF16, Q8_0 or native"});
  }
}

}  // namespace
}  // namespace orthrus
