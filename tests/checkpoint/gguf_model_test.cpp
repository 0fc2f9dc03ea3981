#include "support/gguf_model.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf/model.h"
#include "checkpoint/gguf/tensor_names.h"
#include "orthrus/error.h"
#include "support/expect_error.h"
#include "support/expect_error_parts.h"
#include "support/temporary_directory.h"

namespace orthrus {
namespace {

using test::expect_error;
using test::expect_error_parts;
using test::gguf_of;
using test::GgufWriter;
using test::TemporaryDirectory;

constexpr auto kFile = ErrorKind::kFile;
constexpr auto kUnsupported = ErrorKind::kUnsupported;

ModelConfig small_config(bool biases, bool diffusion) {
  ModelConfig config;
  config.vocab_size = 6;
  config.hidden_size = 32;
  config.intermediate_size = 64;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 8;
  config.rms_norm_eps = 1e-6f;
  config.rope_theta = 1e6;
  config.max_position_embeddings = 128;
  config.has_qkv_bias = biases;
  config.has_qk_norm = !biases;
  if (diffusion) {
    config.block_size = 4;
    config.mask_token_id = 5;
  }
  return config;
}

GgufWriter small_model(const ModelConfig& config) {
  return gguf_of(config, test::random_tensors_in(config, DType::kF32));
}

GgufWriter with_tokenizer(GgufWriter writer) {
  return writer.text("tokenizer.ggml.model", "gpt2")
      .text("tokenizer.ggml.pre", "qwen2")
      .texts("tokenizer.ggml.tokens", {"a", "b", "ab", "<|endoftext|>", "<|im_end|>"})
      .i32s("tokenizer.ggml.token_type", {1, 1, 1, 3, 3})
      .texts("tokenizer.ggml.merges", {"a b"})
      .u32("tokenizer.ggml.eos_token_id", 4)
      .u32("tokenizer.ggml.bos_token_id", 3)
      .boolean("tokenizer.ggml.add_bos_token", false)
      .text("tokenizer.chat_template", "{{ messages }}");
}

class GgufModelTest : public testing::Test {
 protected:
  const std::filesystem::path& write(const GgufWriter& writer) const {
    writer.write(path_);
    return path_;
  }
  Checkpoint open(const GgufWriter& writer) const { return Checkpoint::open(write(writer)); }

  TemporaryDirectory directory_;
  std::filesystem::path path_ = directory_ / "m.gguf";
};

TEST_F(GgufModelTest, HasTheNetworkThatItDescribes) {
  const struct {
    bool biases, diffusion;
    const char* architecture;
  } kCases[] = {{true, false, "Qwen2ForCausalLM"},
                {false, false, "Qwen3ForCausalLM"},
                {true, true, "OrthrusLM"},
                {false, true, "OrthrusLM"}};
  for (const auto& c : kCases) {
    SCOPED_TRACE(fmt::format("{} {}", c.architecture, c.biases));
    const ModelConfig wanted = small_config(c.biases, c.diffusion);
    const Checkpoint checkpoint = open(small_model(wanted));
    const ModelConfig& config = checkpoint.config();
    EXPECT_EQ(config.architecture, c.architecture);
    EXPECT_EQ(config.vocab_size, 6);
    EXPECT_EQ(config.hidden_size, 32);
    EXPECT_EQ(config.intermediate_size, 64);
    EXPECT_EQ(config.num_hidden_layers, 2);
    EXPECT_EQ(config.num_attention_heads, 4);
    EXPECT_EQ(config.num_key_value_heads, 2);
    EXPECT_EQ(config.head_dim, 8);
    EXPECT_EQ(config.rms_norm_eps, 1e-6f);
    EXPECT_EQ(config.rope_theta, 1e6);
    EXPECT_EQ(config.max_position_embeddings, 128);
    EXPECT_FALSE(config.tie_word_embeddings);
    EXPECT_EQ(config.has_qkv_bias, c.biases);
    EXPECT_EQ(config.has_qk_norm, !c.biases);
    EXPECT_EQ(config.block_size, c.diffusion ? 4 : 0);
    EXPECT_EQ(config.mask_token_id, c.diffusion ? 5 : -1);
    EXPECT_TRUE(config.eos_token_ids.empty());
    EXPECT_FALSE(checkpoint.vocabulary().has_value());
    bind_weights(config, checkpoint, "m");  // all of them are there, and no others
    EXPECT_EQ(load_config(path_).architecture, c.architecture);
  }
}

TEST_F(GgufModelTest, TakesWhatIsLeftOut) {
  ModelConfig config = small_config(true, false);
  config.tie_word_embeddings = true;
  GgufWriter writer = small_model(config);
  writer.without("qwen2.attention.key_length")
      .without("qwen2.attention.value_length")
      .without("qwen2.rope.freq_base");
  const Checkpoint tied = open(writer);
  EXPECT_TRUE(tied.config().tie_word_embeddings);
  EXPECT_EQ(tied.config().head_dim, 8);
  EXPECT_EQ(tied.config().rope_theta, 1e4);
  EXPECT_EQ(tied.config().num_key_value_heads, 2);
}

TEST_F(GgufModelTest, HasItsTokenizer) {
  GgufWriter writer = with_tokenizer(small_model(small_config(true, false)));
  const Checkpoint checkpoint = open(writer.text("general.name", "A model"));
  const Vocabulary& vocabulary = checkpoint.vocabulary().value();
  EXPECT_EQ(vocabulary.name, path_.string());
  EXPECT_EQ(vocabulary.pre, "qwen2");
  EXPECT_EQ(vocabulary.tokens.size(), 5u);
  EXPECT_EQ(vocabulary.tokens[3], "<|endoftext|>");
  EXPECT_EQ(vocabulary.types, (std::vector<int32_t>{1, 1, 1, 3, 3}));
  EXPECT_EQ(vocabulary.merges, (std::vector<std::string_view>{"a b"}));
  EXPECT_FALSE(vocabulary.add_bos);
  EXPECT_EQ(vocabulary.bos_token_id, 3);
  EXPECT_EQ(checkpoint.config().name, "A model");
  EXPECT_EQ(chat_template_of(path_), "{{ messages }}");
  EXPECT_FALSE(checkpoint.tokenizer_file().has_value());
}

TEST_F(GgufModelTest, EndsTextsWithTheFilesTokensAndEndoftext) {
  using Ids = std::vector<int32_t>;
  const GgufWriter plain = with_tokenizer(small_model(small_config(true, false)));
  EXPECT_EQ(open(plain).config().eos_token_ids, (Ids{4, 3}));
  EXPECT_EQ(open(GgufWriter(plain).u32("tokenizer.ggml.eos_token_id", 3)).config().eos_token_ids,
            Ids{3});
  EXPECT_EQ(open(GgufWriter(plain).u32("tokenizer.ggml.eot_token_id", 2)).config().eos_token_ids,
            (Ids{4, 2, 3}));
  // A text that looks like the token is none.
  EXPECT_EQ(open(GgufWriter(plain).i32s("tokenizer.ggml.token_type", {1, 1, 1, 1, 3}))
                .config()
                .eos_token_ids,
            Ids{4});
}

struct BadModel {
  std::function<void(GgufWriter&)> spoil;
  std::string problem;
  ErrorKind kind = kFile;
};

TEST_F(GgufModelTest, RefusesWhatItCannotUse) {
  const std::string kHeads = "; it must be an integer from 1 to 1024.";
  const BadModel kCases[] = {
      {[](GgufWriter& w) { w.text("general.architecture", "llama"); },
       "general.architecture is \"llama\"; supported are \"qwen2\", \"qwen3\" and \"orthrus\".",
       kUnsupported},
      {[](GgufWriter& w) {
         w.text("general.architecture", "orthrus-heads").text("general.type", "adapter");
       },
       "general.architecture is \"orthrus-heads\"; these are heads for a model; give that, and the "
       "heads by --heads or beside it."},
      {[](GgufWriter& w) { w.u32("general.architecture", 2); },
       "general.architecture is 2; it must be a string."},
      {[](GgufWriter& w) { w.without("general.architecture"); },
       "general.architecture is missing; it must be a string."},
      {[](GgufWriter& w) { w.u32("qwen2.block_count", 0); },
       "qwen2.block_count is 0; it must be an integer from 1 to 1024."},
      {[](GgufWriter& w) { w.u32("qwen2.block_count", 0xffffffff); },
       "qwen2.block_count is 4294967295; it must be an integer from 1 to 1024."},
      {[](GgufWriter& w) { w.without("qwen2.embedding_length"); },
       "qwen2.embedding_length is missing; it must be an integer from 1 to 131072."},
      {[](GgufWriter& w) { w.text("qwen2.feed_forward_length", "64"); },
       "qwen2.feed_forward_length is \"64\"; it must be an integer from 1 to 524288."},
      {[](GgufWriter& w) { w.f32("qwen2.context_length", 128); },
       "qwen2.context_length is 128; it must be an integer from 2 to 16777216."},
      {[](GgufWriter& w) {
         w.i32s("qwen2.attention.head_count", {4, 4});
       },
       "qwen2.attention.head_count is an array of 2 integers" + kHeads},
      {[](GgufWriter& w) { w.u32("qwen2.attention.head_count", 0); },
       "qwen2.attention.head_count is 0" + kHeads},
      {[](GgufWriter& w) { w.u32("qwen2.attention.head_count_kv", 3); },
       "qwen2.attention.head_count_kv is 3; it must divide qwen2.attention.head_count, which is "
       "4."},
      {[](GgufWriter& w) { w.u32("qwen2.attention.key_length", 7); },
       "qwen2.attention.key_length is 7; the width of a head, which is 7, must be even and 2 to "
       "1024."},
      {[](GgufWriter& w) {
         w.without("qwen2.attention.key_length").u32("qwen2.attention.head_count", 32);
       },
       "qwen2.attention.key_length is missing; the width of a head, which is 1, must be even and "
       "2 to 1024."},
      {[](GgufWriter& w) { w.u32("qwen2.attention.value_length", 16); },
       "qwen2.attention.value_length is 16; supported is the width of a head, which is 8.",
       kUnsupported},
      {[](GgufWriter& w) { w.u32("qwen2.rope.dimension_count", 4); },
       "qwen2.rope.dimension_count is 4; supported is the width of a head, which is 8.",
       kUnsupported},
      {[](GgufWriter& w) { w.f32("qwen2.attention.layer_norm_rms_epsilon", 0); },
       "qwen2.attention.layer_norm_rms_epsilon is 0; it must be a floating-point number above 0 "
       "that 32 bits can hold."},
      {[](GgufWriter& w) { w.f32("qwen2.rope.freq_base", std::nanf("")); },
       "qwen2.rope.freq_base is nan; it must be a floating-point number above 0 that 32 bits can "
       "hold."},
      {[](GgufWriter& w) { w.text("general.type", "adapter"); },
       "general.type is \"adapter\"; merge the adapter into its base model first, and give the "
       "result.",
       kUnsupported},
      {[](GgufWriter& w) { w.text("general.type", "mmproj"); },
       "general.type is \"mmproj\"; it belongs to a model; give the model's own file.",
       kUnsupported},
      {[](GgufWriter& w) { w.text("qwen2.rope.scaling.type", "yarn"); },
       "qwen2.rope.scaling.type is \"yarn\"; supported is \"none\".", kUnsupported},
      {[](GgufWriter& w) { w.f32("qwen2.rope.scaling.factor", 4); },
       "qwen2.rope.scaling.factor is 4; the key is not supported.", kUnsupported},
      {[](GgufWriter& w) { w.u32("qwen2.attention.sliding_window", 4096); },
       "qwen2.attention.sliding_window is 4096; supported is 0.", kUnsupported},
      {[](GgufWriter& w) { w.boolean("qwen2.attention.causal", false); },
       "qwen2.attention.causal is false; supported is true.", kUnsupported},
      {[](GgufWriter& w) { w.f32("qwen2.attention.scale", 1); },
       "qwen2.attention.scale is 1; the key is not supported.", kUnsupported},
      {[](GgufWriter& w) { w.u32("qwen2.expert_count", 8); },
       "qwen2.expert_count is 8; supported is 0.", kUnsupported},
      {[](GgufWriter& w) { w.u32("qwen2.expert_feed_forward_length", 8); },
       "qwen2.expert_feed_forward_length is 8; the key is not supported.", kUnsupported},
      {[](GgufWriter& w) { w.u32("qwen2.vocab_size", 7); },
       "qwen2.vocab_size is 7; token_embd.weight has 6 rows."},
      {[](GgufWriter& w) {
         std::erase_if(w.entries, [](auto& e) { return e.name == "token_embd.weight"; });
       },
       "has no tensor \"token_embd.weight\" of up to 16777216 rows, which is the vocabulary."},
      {[](GgufWriter& w) {
         w.entry({.name = "rope_freqs.weight", .dimensions = {4}, .data = "0123456789abcdef"});
       },
       "tensor \"rope_freqs.weight\" is not one of a Qwen2, Qwen3 or Orthrus network.",
       kUnsupported},
      {[](GgufWriter& w) { w.text("tokenizer.ggml.model", "llama"); },
       "tokenizer.ggml.model is \"llama\"; supported is \"gpt2\".", kUnsupported},
      {[](GgufWriter& w) { w.without("tokenizer.ggml.tokens"); },
       "tokenizer.ggml.tokens is missing; it must be an array of strings."},
      {[](GgufWriter& w) {
         w.i32s("tokenizer.ggml.tokens", {1, 2});
       },
       "tokenizer.ggml.tokens is an array of 2 integers; it must be an array of strings."},
      {[](GgufWriter& w) {
         w.texts("tokenizer.ggml.tokens", {"a", "b", "c", "d", "e", "f", "g"})
             .i32s("tokenizer.ggml.token_type", {1, 1, 1, 1, 1, 1, 1});
       },
       "tokenizer.ggml.tokens is an array of 7 strings; token_embd.weight has only 6 rows."},
      {[](GgufWriter& w) {
         w.i32s("tokenizer.ggml.token_type", {1, 1});
       },
       "tokenizer.ggml.token_type is an array of 2 integers; the vocabulary has 5 tokens."},
      {[](GgufWriter& w) {
         w.i32s("tokenizer.ggml.token_type", {1, 1, 7, 1, 1});
       },
       "tokenizer.ggml.token_type is an array of 5 integers; element 2 is 7; it must be an array "
       "of "
       "integers from 1 to 6."},
      {[](GgufWriter& w) { w.u32("tokenizer.ggml.merges", 1); },
       "tokenizer.ggml.merges is 1; it must be an array of strings."},
      {[](GgufWriter& w) { w.u32("tokenizer.ggml.eos_token_id", 6); },
       "tokenizer.ggml.eos_token_id is 6; it must be an integer from 0 to 5."},
      {[](GgufWriter& w) { w.i32("tokenizer.ggml.eot_token_id", -1); },
       "tokenizer.ggml.eot_token_id is -1; it must be an integer from 0 to 5."},
      {[](GgufWriter& w) { w.u32("tokenizer.ggml.bos_token_id", 5); },
       "tokenizer.ggml.bos_token_id is 5; it must be an integer from 0 to 4."},
      {[](GgufWriter& w) { w.u32("tokenizer.ggml.add_bos_token", 0); },
       "tokenizer.ggml.add_bos_token is 0; it must be true or false."},
  };
  for (const BadModel& c : kCases) {
    GgufWriter writer = with_tokenizer(small_model(small_config(true, false)));
    c.spoil(writer);
    expect_error(c.kind, path_.string() + ": " + c.problem, [&] { open(writer); });
  }
  expect_error(kFile, path_.string() + ": tokenizer.chat_template is 1; it must be a string.", [&] {
    chat_template_of(
        write(small_model(small_config(true, false)).u32("tokenizer.chat_template", 1)));
  });
}

TEST_F(GgufModelTest, TellsTheFirstOfManyProblems) {
  GgufWriter writer = small_model(small_config(true, false));
  for (int i = 0; i < 1000; ++i) writer.u32(fmt::format("qwen2.expert_{:03}", i), 8);
  expect_error_parts([&] { open(writer); }, kUnsupported,
                     {"qwen2.expert_019 is 8", "supported.\n... and 980 more"});
}

TEST_F(GgufModelTest, ChecksTheDiffusionView) {
  const BadModel kCases[] = {
      {[](GgufWriter& w) { w.without("orthrus.diffusion.block_size"); },
       "orthrus.diffusion.block_size is missing; it must be an integer from 2 to 1024."},
      {[](GgufWriter& w) { w.u32("orthrus.diffusion.block_size", 1); },
       "orthrus.diffusion.block_size is 1; it must be an integer from 2 to 1024."},
      {[](GgufWriter& w) { w.u32("tokenizer.ggml.mask_token_id", 6); },
       "tokenizer.ggml.mask_token_id is 6; it must be an integer from 0 to 5."},
  };
  for (const BadModel& c : kCases) {
    GgufWriter writer = small_model(small_config(false, true));
    c.spoil(writer);
    expect_error(c.kind, path_.string() + ": " + c.problem, [&] { open(writer); });
  }
}

TEST(GgufTensorNames, AreTranslated) {
  const std::pair<const char*, const char*> kNames[] = {
      {"token_embd.weight", "model.embed_tokens.weight"},
      {"output_norm.weight", "model.norm.weight"},
      {"output.weight", "lm_head.weight"},
      {"blk.0.attn_norm.weight", "model.layers.0.input_layernorm.weight"},
      {"blk.10.attn_q.weight", "model.layers.10.self_attn.q_proj.weight"},
      {"blk.10.attn_q.bias", "model.layers.10.self_attn.q_proj.bias"},
      {"blk.1.attn_output.weight", "model.layers.1.self_attn.o_proj.weight"},
      {"blk.1.attn_k_norm.weight", "model.layers.1.self_attn.k_norm.weight"},
      {"blk.1.attn_v_diff.bias", "model.layers.1.self_attn.v_proj_diff.bias"},
      {"blk.1.attn_output_diff.weight", "model.layers.1.self_attn.o_proj_diff.weight"},
      {"blk.1.attn_q_norm_diff.weight", "model.layers.1.self_attn.q_norm_diff.weight"},
      {"blk.1.ffn_norm.weight", "model.layers.1.post_attention_layernorm.weight"},
      {"blk.1.ffn_down.weight", "model.layers.1.mlp.down_proj.weight"},
  };
  for (const auto& [gguf, huggingface] : kNames) {
    EXPECT_EQ(huggingface_name(gguf), huggingface);
    EXPECT_EQ(test::gguf_name(huggingface), gguf);
  }
  for (const char* other : {"",
                            ".",
                            "weight",
                            ".weight",
                            "token_embd",
                            "token_embd.scale",
                            "rope_freqs.weight",
                            "blk.",
                            "blk..",
                            "blk.0",
                            "blk.0.",
                            "blk.0.weight",
                            "blk.0..weight",
                            "blk.00.attn_q.weight",
                            "blk.01.attn_q.weight",
                            "blk.-1.attn_q.weight",
                            "blk.x.attn_q.weight",
                            "blk.9999999.attn_q.weight",
                            "blk.0.token_embd.weight",
                            "attn_q.weight",
                            "blk.0.attn_qkv.weight"}) {
    EXPECT_EQ(huggingface_name(other), std::nullopt) << other;
  }
}

}  // namespace
}  // namespace orthrus
