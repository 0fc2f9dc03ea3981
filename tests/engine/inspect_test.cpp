#include "orthrus/inspect.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "support/gguf_model.h"
#include "support/temporary_directory.h"

namespace orthrus {
namespace {

TEST(Inspect, PartsAndViewsAddUp) {
  const CheckpointInfo info = inspect(std::filesystem::path(ORTHRUS_MODELS) / "tiny-code");
  EXPECT_EQ(info.tensors.size(), 172u);
  EXPECT_EQ(info.total.bytes, 48583424);
  EXPECT_EQ(info.total.parameters, 24291712);
  int64_t parameters = 0, bytes = 0, diffusion_attention = 0;
  for (const PartInfo& part : info.parts) {
    parameters += part.parameters;
    bytes += part.bytes;
    if (part.name == "attention (diffusion view)") diffusion_attention = part.parameters;
  }
  EXPECT_EQ(parameters, info.total.parameters);
  EXPECT_EQ(bytes, info.total.bytes);
  // Ten layers of q and o [384][384], k and v [128][384], two norms of 64.
  EXPECT_EQ(diffusion_attention, 10 * (2 * 384 * 384 + 2 * 128 * 384 + 2 * 64));
  EXPECT_EQ(info.ar_view.parameters, info.total.parameters - diffusion_attention);
  EXPECT_EQ(info.diffusion_view.parameters, info.ar_view.parameters);
  EXPECT_EQ(info.cache_bytes_per_token, 2 * 10 * 2 * 64 * 4);
}

TEST(Inspect, TellsOfAGgufFileWithHeads) {
  ModelConfig dual;
  dual.vocab_size = 8;
  dual.hidden_size = dual.intermediate_size = 256;
  dual.num_hidden_layers = 1;
  dual.num_attention_heads = dual.num_key_value_heads = 4;
  dual.head_dim = 64;
  dual.rms_norm_eps = 1e-6f;
  dual.rope_theta = 1e4;
  dual.max_position_embeddings = 64;
  dual.has_qkv_bias = true;
  dual.has_qk_norm = false;
  dual.block_size = 4;
  dual.mask_token_id = 7;
  dual.pair_rank = 32;
  ModelConfig plain = dual;
  plain.block_size = plain.pair_rank = 0;

  const test::TemporaryDirectory directory;
  const std::filesystem::path model = directory / "m.gguf", file = directory / "heads.gguf";
  gguf_of(plain, test::random_tensors_in(plain, DType::kQ4_K))
      .text("general.name", "Small")
      .text("tokenizer.ggml.model", "gpt2")
      .text("tokenizer.ggml.pre", "qwen2")
      .texts("tokenizer.ggml.tokens", {"a", "b", "ab"})
      .i32s("tokenizer.ggml.token_type", {1, 1, 1})
      .texts("tokenizer.ggml.merges", {"a b"})
      .u32("tokenizer.ggml.bos_token_id", 2)
      .boolean("tokenizer.ggml.add_bos_token", true)
      .text("tokenizer.chat_template", "{{ messages }}")
      .write(model);
  test::GgufWriter heads;
  heads.text("general.architecture", "orthrus-heads")
      .text("orthrus.heads.base", "Small")
      .u32("orthrus.diffusion.block_size", 4)
      .u32("tokenizer.ggml.mask_token_id", 7);
  for (test::TensorToWrite tensor : test::random_tensors_in(dual, DType::kQ8_0)) {
    if (tensor.name.find("_diff.") == std::string::npos) continue;
    tensor.name = test::gguf_name(tensor.name);
    heads.tensor(tensor);
  }
  heads.write(file);

  const CheckpointInfo info = inspect(model);
  EXPECT_EQ(info.config.name, "Small");
  EXPECT_EQ(info.config.block_size, 4);
  ASSERT_TRUE(info.vocabulary.has_value());
  EXPECT_EQ(info.vocabulary->tokens, 3);
  EXPECT_EQ(info.vocabulary->merges, 1);
  EXPECT_EQ(info.vocabulary->pre, "qwen2");
  EXPECT_EQ(info.vocabulary->bos_token_id, 2);
  EXPECT_TRUE(info.vocabulary->adds_bos);
  EXPECT_TRUE(info.has_tokenizer);
  EXPECT_EQ(info.chat_format, ChatFormat::kUnknown);
  ASSERT_TRUE(info.heads.has_value());
  EXPECT_EQ(info.heads->file, file.string());
  EXPECT_EQ(info.heads->base, "Small");
  constexpr int64_t kTables = 2 * 8 * 32, kWeights = 4 * 256 * 256 + kTables, kBiases = 3 * 256;
  EXPECT_EQ(info.heads->parameters, kWeights + kBiases);
  EXPECT_EQ(info.heads->bytes, kWeights / 32 * 34 + kBiases * 4);

  EXPECT_EQ(info.config.pair_rank, 32);
  EXPECT_EQ(info.parts.back().name, "pairwise (diffusion view)");
  EXPECT_EQ(info.parts.back().parameters, kTables);
  EXPECT_EQ(info.ar_view.parameters + kWeights + kBiases, info.total.parameters);

  // Matrices of Q8_0: the heads'. Of Q4_K: embedding, head, four of attention, three of the MLP.
  // Of F32: three norms, the biases of both views.
  ASSERT_EQ(info.formats.size(), 3u);
  EXPECT_EQ(info.formats[0].type, DType::kF32);
  EXPECT_EQ(info.formats[0].tensors, 3 + 6);
  EXPECT_EQ(info.formats[1].type, DType::kQ8_0);
  EXPECT_EQ(info.formats[1].tensors, 6);
  EXPECT_EQ(info.formats[1].parameters, kWeights);
  EXPECT_EQ(info.formats[2].type, DType::kQ4_K);
  EXPECT_EQ(info.formats[2].tensors, 9);
  EXPECT_EQ(info.formats[2].parameters, 2 * 8 * 256 + 7 * 256 * 256);
  EXPECT_EQ(info.formats[2].bytes, info.formats[2].parameters / 256 * 144);
  int64_t bytes = 0;
  for (const FormatInfo& format : info.formats) bytes += format.bytes;
  EXPECT_EQ(bytes, info.total.bytes);
}

}  // namespace
}  // namespace orthrus
