// Which matrices a CUDA device stores, and in which forms.
#include "backends/cuda/weight_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "backends/cuda/pack_blocks.h"
#include "support/fresh_seed.h"

namespace orthrus::cuda {
namespace {

ModelConfig shape(bool diffusion, bool tied) {
  ModelConfig config;
  config.vocab_size = 1000;
  config.hidden_size = 512;
  config.intermediate_size = 1024;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 8;
  config.num_key_value_heads = 2;
  config.head_dim = 64;
  config.block_size = diffusion ? 8 : 0;
  config.pair_rank = diffusion ? 24 : 0;
  config.tie_word_embeddings = tied;
  return config;
}

constexpr WeightType kNative = WeightType::native();

// A network whose matrices are of one type, but for what a test changes.
NetworkWeights network(const ModelConfig& config, DType type) {
  NetworkWeights weights = imagined_weights(config);
  for_each_tensor(
      config, weights,
      [&](const TensorSpec&, MatrixPlaces places) {
        for (const View view : kBothViews) {
          if (places[view] != nullptr) places[view]->type = type;
        }
      },
      [](const TensorSpec&, std::vector<float>&) {});
  return weights;
}

size_t bf16_bytes(const Matrix& matrix) {
  return size_t{2} * static_cast<size_t>(matrix.rows) * static_cast<size_t>(matrix.cols);
}

bool has_form(DType type) {
  return std::ranges::any_of(kBlockForms, [&](WeightForm form) { return holds(form, type); });
}

std::vector<WeightForm> forms(const WeightPlan& plan, const std::vector<size_t>& places) {
  std::vector<WeightForm> forms;
  for (const size_t place : places) forms.push_back(plan.matrices[place].form);
  return forms;
}

TEST(WeightPlan, KeepsTheFormatsOfAFile) {
  const ModelConfig config = shape(false, false);
  NetworkWeights weights = network(config, DType::kQ4_K);
  weights.lm_head.ar.type = DType::kQ6_K;
  LayerWeights& first = weights.layers[0];
  first.attention.ar.v_proj.type = first.mlp.ar.down_proj.type = DType::kQ6_K;
  const WeightPlan plan = plan_weights(config, weights, {kNative, kNative});
  using enum WeightForm;
  EXPECT_EQ(forms(plan, plan.layers[0].qkv.ar), (std::vector{kQ4, kQ6}));
  EXPECT_EQ(forms(plan, plan.layers[1].qkv.ar), (std::vector{kQ4}));
  EXPECT_EQ(plan.matrices[plan.layers[0].qkv.ar[0]].rows(), (8 + 2) * 64);
  EXPECT_EQ(plan.matrices[plan.layers[0].gate_up.ar].form, kQ4);
  EXPECT_EQ(plan.matrices[plan.layers[0].gate_up.ar].in_turn, kGatedRows);
  EXPECT_EQ(plan.matrices[plan.layers[0].down.ar].form, kQ6);
  EXPECT_EQ(plan.matrices[plan.layers[1].down.ar].form, kQ4);
  EXPECT_EQ(plan.matrices[*plan.lm_head.ar].form, kQ6);
  for (const View view : kBothViews) EXPECT_TRUE(plan.widened(view).empty());
  const auto read = plan.bytes_read(View::kAutoregressive);
  ASSERT_EQ(read.size(), 2u);
  const double of_q6_k = 128 * 512 + 512 * 1024 + 1024 * 512;  // the head's rows in whole tiles
  EXPECT_NEAR(read.at(DType::kQ6_K), of_q6_k / 4096 * Q6Layout::kBytes, 1);
}

TEST(WeightPlan, EveryFormatOfBlocksHasAForm) {
  for (const Format& format : all_formats()) {
    EXPECT_EQ(has_form(format.type), format.stores_blocks()) << format.name;
  }
}

TEST(WeightPlan, WidensWhatNoFormHoldsTogether) {
  const ModelConfig config = shape(false, false);
  NetworkWeights weights = network(config, DType::kQ4_K);
  weights.layers[0].attention.ar.k_proj.type = DType::kF32;
  weights.layers[1].mlp.ar.up_proj.type = DType::kQ6_K;  // beside gate_proj
  weights.layers[1].mlp.ar.down_proj.type = DType::kF16;
  const WeightPlan plan = plan_weights(config, weights, {kNative, kNative});
  using enum WeightForm;
  EXPECT_EQ(forms(plan, plan.layers[0].qkv.ar), (std::vector{kQ4, kBf16, kQ4}));
  EXPECT_EQ(plan.matrices[plan.layers[1].gate_up.ar].form, kBf16);
  EXPECT_EQ(plan.matrices[plan.layers[1].down.ar].form, kBf16);
  const std::set want = {DType::kQ4_K, DType::kQ6_K};
  EXPECT_EQ(plan.widened(View::kAutoregressive), want);
}

TEST(WeightPlan, FormatsThatFitTheSameFormAreOneMatrix) {
  const ModelConfig config = shape(false, false);
  NetworkWeights weights = network(config, DType::kQ8_0);
  weights.layers[0].attention.ar.v_proj.type = DType::kIQ4_XS;
  weights.layers[0].mlp.ar.up_proj.type = DType::kIQ4_NL;
  weights.layers[1].attention.ar.q_proj.type = DType::kQ5_0;
  weights.layers[1].attention.ar.k_proj.type = DType::kQ4_0;
  weights.layers[1].mlp.ar.gate_proj.type = DType::kQ5_K;
  weights.layers[1].mlp.ar.up_proj.type = DType::kQ4_0;  // it has a smaller form by itself
  weights.layers[1].mlp.ar.down_proj.type = DType::kQ4_0;
  const WeightPlan plan = plan_weights(config, weights, {kNative, kNative});
  EXPECT_EQ(forms(plan, plan.layers[0].qkv.ar), (std::vector{WeightForm::kQ8}));
  EXPECT_EQ(plan.matrices[plan.layers[0].gate_up.ar].form, WeightForm::kQ8);
  EXPECT_EQ(forms(plan, plan.layers[1].qkv.ar), (std::vector{WeightForm::kQ8}));
  EXPECT_EQ(plan.matrices[plan.layers[1].gate_up.ar].form, WeightForm::kQ5);
  EXPECT_EQ(plan.matrices[plan.layers[1].down.ar].form, WeightForm::kQ4);
  const auto read = plan.bytes_read(View::kAutoregressive);
  EXPECT_EQ(read.at(DType::kIQ4_XS), 2.0 * 64 * 512 * Q8Layout::kBytes / 4096);
  EXPECT_EQ(read.at(DType::kIQ4_NL), 1024.0 * 512 * Q8Layout::kBytes / 4096);
  EXPECT_EQ(read.at(DType::kQ5_K), 1024.0 * 512 * Q5Layout::kBytes / 4096);
}

TEST(WeightPlan, ATiedHeadIsTheEmbeddingInBf16) {
  const ModelConfig config = shape(true, true);
  const NetworkWeights weights = network(config, DType::kQ6_K);
  const auto planned = [&](WeightType ar, WeightType drafts) {
    return plan_weights(config, weights, {ar, drafts});
  };
  const WeightPlan bf16 = planned(DType::kBF16, DType::kBF16);
  EXPECT_FALSE(bf16.lm_head.ar || bf16.lm_head.diffusion);
  EXPECT_TRUE(bf16.widened(View::kAutoregressive).contains(DType::kQ6_K));
  const WeightPlan native = planned(kNative, kNative);
  EXPECT_TRUE(native.lm_head.ar);
  EXPECT_EQ(native.lm_head.ar, native.lm_head.diffusion);
  const WeightPlan mixed = planned(kNative, DType::kBF16);
  EXPECT_TRUE(mixed.lm_head.ar);
  EXPECT_FALSE(mixed.lm_head.diffusion);
  const WeightPlan copies = planned(kNative, DType::kQ8_0);
  EXPECT_NE(copies.lm_head.ar, copies.lm_head.diffusion);
}

TEST(WeightPlan, DraftsHaveCopiesOnlyOfWhatHasAnotherForm) {
  const ModelConfig config = shape(true, false);
  NetworkWeights weights = network(config, DType::kQ8_0);
  weights.layers[0].mlp.ar.down_proj.type = DType::kQ4_K;
  const WeightPlan plan = plan_weights(config, weights, {kNative, DType::kQ8_0});
  EXPECT_EQ(plan.layers[0].gate_up.ar, plan.layers[0].gate_up.diffusion);
  EXPECT_NE(plan.layers[0].down.ar, plan.layers[0].down.diffusion);
  EXPECT_EQ(plan.layers[1].down.ar, plan.layers[1].down.diffusion);
  EXPECT_EQ(plan.lm_head.ar, plan.lm_head.diffusion);
  EXPECT_TRUE(plan.bytes_read(View::kAutoregressive).contains(DType::kQ4_K));
  EXPECT_TRUE(plan.bytes_read(View::kDiffusion).contains(DType::kQ8_0));
}

// Of any types: each view multiplies with all that it has to, in a form that has the very numbers
// where they are native, and bytes are those of what is stored.
TEST(WeightPlan, HasAllThatIsMultipliedWith) {
  const unsigned seed = test::fresh_seed();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const auto any = [&](auto&& choices) { return choices[random() % std::size(choices)]; };
  for (int i = 0; i < 200; ++i) {
    const ModelConfig config = shape(random() % 2 == 0, random() % 2 == 0);
    NetworkWeights weights = imagined_weights(config);
    std::vector<DType> types = {DType::kF16};
    for (int t = 0; t < 3; ++t) types.push_back(any(all_formats()).type);
    for_each_tensor(
        config, weights,
        [&](const TensorSpec& spec, MatrixPlaces places) {
          const DType type = spec.is_tied_head ? weights.embed_tokens.type : any(types);
          for (const View view : kBothViews) {
            if (places[view] != nullptr) places[view]->type = type;
          }
        },
        [](const TensorSpec&, std::vector<float>&) {});
    const WeightType wanted[] = {kNative, DType::kBF16, DType::kQ8_0};
    const PerView<WeightType> of_views = {any(wanted), any(wanted)};
    const WeightPlan plan = plan_weights(config, weights, of_views);
    double stored = 0;
    for (const Matrix* const table : plan.tables) stored += static_cast<double>(bf16_bytes(*table));
    for (const PlannedMatrix& matrix : plan.matrices) {
      stored += static_cast<double>(matrix.bytes());
    }
    EXPECT_EQ(plan.bytes(), stored);
    for (const View view : views(config)) {
      std::vector<const Matrix*> parts;
      double read = 0;
      for (const size_t place : plan.read[view]) {
        const PlannedMatrix& matrix = plan.matrices[place];
        read += static_cast<double>(matrix.bytes());
        for (const Matrix* const part : matrix.parts) {
          parts.push_back(part);
          if (of_views[view] != kNative) {
            const bool q8 = of_views[view] == DType::kQ8_0;
            EXPECT_EQ(matrix.form, q8 ? WeightForm::kQ8 : WeightForm::kBf16);
          } else if (matrix.form != WeightForm::kBf16) {
            EXPECT_TRUE(holds(matrix.form, part->type));
          } else {
            EXPECT_TRUE(!has_form(part->type) || matrix.parts.size() > 1);
          }
        }
      }
      if (!plan.lm_head[view]) read += static_cast<double>(bf16_bytes(weights.embed_tokens));
      const std::map<DType, double> by_type = plan.bytes_read(view);
      const double sum = std::accumulate(
          by_type.begin(), by_type.end(), 0.0,
          [](double before, const auto& of_type) { return before + of_type.second; });
      EXPECT_NEAR(sum, read, 1);
      // Seven matrices a layer, and the head.
      const size_t count = multiplied_matrices(config, view).size() - (plan.lm_head[view] ? 0 : 1);
      EXPECT_EQ(parts.size(), count);
      std::ranges::sort(parts);
      EXPECT_EQ(std::ranges::adjacent_find(parts), parts.end());
    }
  }
}

}  // namespace
}  // namespace orthrus::cuda
