
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/huggingface/config_json.h"
#include "orthrus/error.h"
#include "support/expect_error.h"
#include "support/safetensors_writer.h"
#include "support/temporary_directory.h"

namespace orthrus {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::expect_error;

constexpr auto kFile = ErrorKind::kFile;
constexpr auto kUnsupported = ErrorKind::kUnsupported;

// What a published 1.7B checkpoint says.
json published() {
  return json::parse(R"({
    "architectures": ["OrthrusLM"], "attention_bias": false, "attention_dropout": 0.0,
    "bos_token_id": 151643, "dtype": "bfloat16", "eos_token_id": 151645, "head_dim": 128,
    "hidden_act": "silu", "hidden_size": 2048, "initializer_range": 0.02,
    "intermediate_size": 6144, "layer_types": ["full_attention", "full_attention"],
    "max_position_embeddings": 40960, "max_window_layers": 28, "model_type": "orthrus",
    "num_attention_heads": 16, "num_hidden_layers": 2, "num_key_value_heads": 8,
    "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 1000000, "sliding_window": null,
    "tie_word_embeddings": true, "transformers_version": "4.57.1", "use_cache": true,
    "use_sliding_window": false, "vocab_size": 151936, "block_size": 32,
    "mask_token_id": 151669})");
}

ModelConfig parse(const std::string& text, const std::optional<std::string>& generation = {}) {
  std::optional<NamedText> named;
  if (generation) named = NamedText{"g.json", *generation};
  return parse_config({"c.json", text}, named);
}

// The published configuration with `changes` (a JSON merge patch cannot set null, so not one).
ModelConfig parse_changed(const json& changes, const std::optional<std::string>& generation = {}) {
  json config = published();
  for (const auto& [key, value] : changes.items()) config[key] = value;
  return parse(config.dump(), generation);
}

ModelConfig parse_without(const std::vector<std::string>& keys) {
  json config = published();
  for (const std::string& key : keys) config.erase(key);
  return parse(config.dump());
}

TEST(Config, ReadsPublishedFields) {
  const ModelConfig config = parse(published().dump());
  EXPECT_EQ(config.architecture, "OrthrusLM");
  EXPECT_EQ(config.dtype, "bfloat16");
  EXPECT_EQ(config.vocab_size, 151936);
  EXPECT_EQ(config.hidden_size, 2048);
  EXPECT_EQ(config.intermediate_size, 6144);
  EXPECT_EQ(config.num_hidden_layers, 2);
  EXPECT_EQ(config.num_attention_heads, 16);
  EXPECT_EQ(config.num_key_value_heads, 8);
  EXPECT_EQ(config.head_dim, 128);
  EXPECT_EQ(config.rms_norm_eps, 1e-6f);
  EXPECT_EQ(config.rope_theta, 1e6);
  EXPECT_EQ(config.max_position_embeddings, 40960);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_EQ(config.eos_token_ids, std::vector<int32_t>{151645});
  EXPECT_EQ(config.block_size, 32);
  EXPECT_EQ(config.mask_token_id, 151669);
  EXPECT_TRUE(config.has_diffusion_view());
  EXPECT_EQ(config.generation.temperature, 0.0f);
}

TEST(Config, LoadsModelsInTheTree) {
  const ModelConfig tied = load_config(fs::path(ORTHRUS_TEST_DATA) / "golden" / "tied");
  EXPECT_EQ(tied.dtype, "float32");
  EXPECT_EQ(tied.vocab_size, 512);
  EXPECT_EQ(tied.head_dim, 32);
  EXPECT_TRUE(tied.tie_word_embeddings);
  EXPECT_EQ(tied.block_size, 8);
  EXPECT_EQ(tied.mask_token_id, 500);
  const ModelConfig untied = load_config(fs::path(ORTHRUS_TEST_DATA) / "golden" / "untied");
  EXPECT_EQ(untied.num_attention_heads, 6);
  EXPECT_EQ(untied.head_dim, 16);
  EXPECT_FALSE(untied.tie_word_embeddings);
  const ModelConfig code = load_config(fs::path(ORTHRUS_MODELS) / "tiny-code");
  EXPECT_EQ(code.num_hidden_layers, 10);
  EXPECT_EQ(code.rope_theta, 1e5);
  EXPECT_EQ(code.eos_token_ids, std::vector<int32_t>{0});
}

TEST(Config, TakesQwen3DefaultsForAbsentFields) {
  const ModelConfig config = parse_without(
      {"dtype", "head_dim", "rms_norm_eps", "rope_theta", "max_position_embeddings",
       "tie_word_embeddings", "eos_token_id", "hidden_act", "layer_types", "attention_bias"});
  EXPECT_EQ(config.dtype, "");
  EXPECT_EQ(config.head_dim, 128);
  EXPECT_EQ(config.rms_norm_eps, 1e-6f);
  EXPECT_EQ(config.rope_theta, 1e4);
  EXPECT_EQ(config.max_position_embeddings, 32768);
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_TRUE(config.eos_token_ids.empty());

  EXPECT_EQ(parse_changed({{"num_key_value_heads", nullptr}}).num_key_value_heads, 16);
  json config64 = published();
  config64["num_attention_heads"] = 64;
  config64.erase("num_key_value_heads");
  EXPECT_EQ(parse(config64.dump()).num_key_value_heads, 32);
}

TEST(Config, Qwen3HasNoDiffusionView) {
  const json names = json::array({"Qwen3ForCausalLM"});
  for (const json& changes :
       {json{{"architectures", names}},
        json{{"architectures", names}, {"block_size", "what"}, {"mask_token_id", -5}}}) {
    const ModelConfig config = parse_changed(changes);
    EXPECT_EQ(config.architecture, "Qwen3ForCausalLM");
    EXPECT_EQ(config.block_size, 0);
    EXPECT_EQ(config.mask_token_id, -1);
    EXPECT_FALSE(config.has_diffusion_view());
  }
}

// What Qwen2.5-0.5B-Instruct says.
json published_qwen2() {
  return json::parse(R"({
    "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643,
    "eos_token_id": 151645, "hidden_act": "silu", "hidden_size": 896, "initializer_range": 0.02,
    "intermediate_size": 4864, "max_position_embeddings": 32768, "max_window_layers": 21,
    "model_type": "qwen2", "num_attention_heads": 14, "num_hidden_layers": 24,
    "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
    "sliding_window": 32768, "tie_word_embeddings": true, "torch_dtype": "bfloat16",
    "transformers_version": "4.43.1", "use_cache": true, "use_sliding_window": false,
    "vocab_size": 151936})");
}

TEST(Config, ReadsQwen2) {
  const ModelConfig config = parse(published_qwen2().dump());
  EXPECT_EQ(config.architecture, "Qwen2ForCausalLM");
  EXPECT_TRUE(config.has_qkv_bias);
  EXPECT_FALSE(config.has_qk_norm);
  EXPECT_EQ(config.head_dim, 64);
  EXPECT_EQ(config.num_key_value_heads, 2);
  EXPECT_EQ(config.rope_theta, 1e6);
  EXPECT_FALSE(config.has_diffusion_view());
  EXPECT_EQ(config.name, "");

  // As transformers' Qwen2Config, which reads no attention_bias.
  json defaults = published_qwen2();
  for (const char* key : {"rms_norm_eps", "rope_theta", "max_position_embeddings",
                          "tie_word_embeddings", "use_sliding_window"}) {
    defaults.erase(key);
  }
  defaults["num_key_value_heads"] = nullptr;
  defaults["attention_bias"] = false;
  defaults["_name_or_path"] = "Qwen/Qwen2.5-0.5B-Instruct";
  const ModelConfig plain = parse(defaults.dump());
  EXPECT_EQ(plain.num_key_value_heads, 14);
  EXPECT_EQ(plain.rms_norm_eps, 1e-6f);
  EXPECT_EQ(plain.rope_theta, 1e4);
  EXPECT_EQ(plain.max_position_embeddings, 32768);
  EXPECT_FALSE(plain.tie_word_embeddings);
  EXPECT_TRUE(plain.has_qkv_bias);
  EXPECT_EQ(plain.name, "Qwen/Qwen2.5-0.5B-Instruct");

  json explicit_width = published_qwen2();
  explicit_width["head_dim"] = 128;
  EXPECT_EQ(parse(explicit_width.dump()).head_dim, 128);
}

TEST(Config, RefusesQwen2sOtherArithmetic) {
  const auto refused = [](ErrorKind kind, const json& changes, const std::string& problem) {
    json config = published_qwen2();
    for (const auto& [key, value] : changes.items()) config[key] = value;
    expect_error(kind, "c.json: " + problem, [&] { parse(config.dump()); });
  };
  refused(kUnsupported, {{"use_sliding_window", true}},
          "use_sliding_window is true; supported is false.");
  refused(kFile, {{"hidden_size", 900}},
          "head_dim is missing; hidden_size, which is 900, divided by num_attention_heads, which "
          "is 14, must be an even number up to 1024.");
}

TEST(Config, Qwen3HasNormsAndNoBiases) {
  const ModelConfig config = parse(published().dump());
  EXPECT_TRUE(config.has_qk_norm);
  EXPECT_FALSE(config.has_qkv_bias);
}

TEST(Config, AcceptsHarmlessVariants) {
  const char* kCases[] = {
      R"({"sliding_window": 4096})",
      R"({"use_sliding_window": null, "attention_bias": null})",
      R"({"mlp_bias": false})",
      R"({"quantization_config": null})",
      R"({"quantization_config": {"quant_method": "fp8"}})",
      R"({"layer_types": null})",
      R"({"torch_dtype": "float16"})",  // dtype, the newer name, counts
      R"({"tie_word_embeddings": null, "bos_token_id": null, "pad_token_id": null})",
      R"({"partial_rotary_factor": 1.0})",
      R"({"rope_scaling": {"type": "default"}})",
      R"({"rope_scaling": {"rope_type": "default"}})",
      R"({"rope_parameters": {}})",
      R"({"rope_parameters": {"rope_theta": 1000000.0, "rope_type": "default",
          "partial_rotary_factor": 1}})",
      R"({"some_future_field": [1, {"a": null}]})",
  };
  for (const char* changes : kCases) {
    SCOPED_TRACE(changes);
    EXPECT_EQ(parse_changed(json::parse(changes)).rope_theta, 1e6);
  }
  json moved = published();
  moved.erase("rope_theta");
  moved["rope_parameters"] = {{"rope_theta", 5000000}, {"rope_type", "default"}};
  EXPECT_EQ(parse(moved.dump()).rope_theta, 5e6);
}

// What a training writes as the name is often a path on its own machine.
TEST(Config, TakesNoPathForTheModelsName) {
  for (const char* name : {"Qwen/Qwen3-8B", "Qwen3-8B", "my_models/x.1"}) {
    EXPECT_EQ(parse_changed({{"_name_or_path", name}}).name, name);
  }
  for (const char* path : {"/data/Qwen3-8B", "./out", "../out", "~/out", "C:\\models\\x", "a/b/c",
                           "out/checkpoint-500", "checkpoint-500", ""}) {
    EXPECT_EQ(parse_changed({{"_name_or_path", path}}).name, "");
  }
}

TEST(Config, ReadsEndTokens) {
  using Ids = std::vector<int32_t>;
  EXPECT_EQ(parse_changed({{"eos_token_id", 7}}).eos_token_ids, Ids{7});
  EXPECT_EQ(parse_changed({{"eos_token_id", {7, 9}}}).eos_token_ids, (Ids{7, 9}));
  EXPECT_EQ(parse_changed({{"eos_token_id", nullptr}}).eos_token_ids, Ids{});
  EXPECT_EQ(parse_changed({{"eos_token_id", json::array()}}).eos_token_ids, Ids{});
  const json seven = {{"eos_token_id", 7}};
  EXPECT_EQ(parse_changed(seven, R"({"eos_token_id": [1, 2]})").eos_token_ids, (Ids{1, 2}));
  EXPECT_EQ(parse_changed(seven, R"({"eos_token_id": 1})").eos_token_ids, Ids{1});
  EXPECT_EQ(parse_changed(seven, R"({"eos_token_id": null})").eos_token_ids, Ids{7});
  EXPECT_EQ(parse_changed(seven, "{}").eos_token_ids, Ids{7});
}

TEST(Config, ReadsSamplingDefaults) {
  const SamplingParams qwen3 =
      parse_changed({}, R"({"do_sample": true, "temperature": 0.6, "top_k": 20, "top_p": 0.95,
                            "bos_token_id": 151643, "transformers_version": "4.51.0"})")
          .generation;
  EXPECT_EQ(qwen3.temperature, 0.6f);
  EXPECT_EQ(qwen3.top_k, 20);
  EXPECT_EQ(qwen3.top_p, 0.95f);
  EXPECT_EQ(qwen3.min_p, 0.0f);

  const SamplingParams plain =
      parse_changed({}, R"({"do_sample": true, "top_k": null, "min_p": 0.1})").generation;
  EXPECT_EQ(plain.temperature, 1.0f);
  EXPECT_EQ(plain.top_k, 0);
  EXPECT_EQ(plain.top_p, 1.0f);
  EXPECT_EQ(plain.min_p, 0.1f);

  for (const char* greedy : {R"({"do_sample": false, "temperature": 0.6, "top_k": 20})",
                             R"({"temperature": 0.6, "top_k": "not read"})"}) {
    const SamplingParams defaults = parse_changed({}, greedy).generation;
    EXPECT_EQ(defaults.temperature, 0.0f);
    EXPECT_EQ(defaults.top_k, 0);
  }
}

TEST(Config, ReadsPenaltiesSuppressedTokensAndStopStrings) {
  const ModelConfig config = parse_changed(
      {}, R"({"repetition_penalty": 1.05, "presence_penalty": 0.5, "frequency_penalty": -1,
              "suppress_tokens": [7, 3, 7], "stop_strings": ["\n\n", "END"]})");
  const SamplingParams& s = config.generation;
  EXPECT_TRUE(s.greedy());  // which penalties are for too
  EXPECT_EQ(s.repetition_penalty, 1.05f);
  EXPECT_EQ(s.presence_penalty, 0.5f);
  EXPECT_EQ(s.frequency_penalty, -1.0f);
  EXPECT_EQ(s.logit_bias, (std::vector<TokenBias>{{3, -INFINITY}, {7, -INFINITY}}));
  EXPECT_EQ(config.stop_strings, (std::vector<std::string>{"\n\n", "END"}));
  EXPECT_TRUE(config.warnings.empty());
  EXPECT_EQ(parse_changed({}, R"({"stop_strings": "END"})").stop_strings,
            std::vector<std::string>{"END"});

  const ModelConfig nulls =
      parse_changed({}, R"({"do_sample": null, "temperature": null, "repetition_penalty": null,
              "presence_penalty": null, "suppress_tokens": null, "stop_strings": null})");
  EXPECT_TRUE(nulls.generation.greedy());
  EXPECT_EQ(nulls.generation.repetition_penalty, 1.0f);
  EXPECT_TRUE(nulls.generation.logit_bias.empty());
  EXPECT_TRUE(nulls.stop_strings.empty());
}

TEST(Config, WarnsOfWhatGenerationConfigAsksForInVain) {
  const auto warnings = [](const char* generation) {
    return parse_changed({}, generation).warnings;
  };
  EXPECT_EQ(warnings(R"({"no_repeat_ngram_size": 3, "num_beams": 4, "bad_words_ids": [[1, 2]]})"),
            (std::vector<std::string>{
                "g.json: bad_words_ids is [[1,2]]; this is not supported and has no effect.",
                "g.json: no_repeat_ngram_size is 3; this is not supported and has no effect.",
                "g.json: num_beams is 4; this is not supported and has no effect."}));
  for (const char* field :
       {R"("begin_suppress_tokens": [5])", R"("encoder_repetition_penalty": 1.1)",
        R"("forced_eos_token_id": 0)", R"("guidance_scale": 1.5)", R"("min_new_tokens": 8)",
        R"("penalty_alpha": 0.6)", R"("sequence_bias": [[[3], -10.0]])", R"("token_healing": true)",
        R"("exponential_decay_length_penalty": [15, 1.6])"}) {
    EXPECT_EQ(warnings(fmt::format("{{{}}}", field).c_str()).size(), 1u) << field;
  }
  // Filters matter to sampling alone.
  EXPECT_EQ(warnings(R"({"do_sample": true, "typical_p": 0.9, "eta_cutoff": 0.001})").size(), 2u);
  EXPECT_TRUE(warnings(R"({"typical_p": 0.9, "eta_cutoff": 0.001})").empty());
  // What older versions of transformers write out, and how long a text may become.
  EXPECT_TRUE(warnings(R"({"do_sample": true, "num_beams": 1, "num_beam_groups": 1, "min_length": 0,
                   "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0,
                   "encoder_repetition_penalty": 1.0, "typical_p": 1.0, "epsilon_cutoff": 0.0,
                   "eta_cutoff": 0, "bad_words_ids": null, "sequence_bias": {},
                   "begin_suppress_tokens": [], "guidance_scale": 1, "token_healing": false,
                   "penalty_alpha": 0, "length_penalty": 1.0, "early_stopping": false,
                   "max_length": 20, "max_new_tokens": 2048, "use_cache": true})")
                  .empty());
}

struct BadField {
  ErrorKind kind;
  std::string changes, problem;
};

TEST(Config, RefusesValuesOutOfRange) {
  const BadField kCases[] = {
      {kFile, R"({"vocab_size": 0})", "vocab_size is 0; it must be an integer from 1 to 16777216."},
      {kFile, R"({"hidden_size": 131073})",
       "hidden_size is 131073; it must be an integer from 1 to 131072."},
      {kFile, R"({"hidden_size": 1e3})",
       "hidden_size is 1000.0; it must be an integer from 1 to 131072."},
      {kFile, R"({"hidden_size": 16.0})",
       "hidden_size is 16.0; it must be an integer from 1 to 131072."},
      {kFile, R"({"hidden_size": "16"})",
       "hidden_size is \"16\"; it must be an integer from 1 to 131072."},
      {kFile, R"({"hidden_size": true})",
       "hidden_size is true; it must be an integer from 1 to 131072."},
      {kFile, R"({"hidden_size": null})",
       "hidden_size is null; it must be an integer from 1 to 131072."},
      {kFile, R"({"hidden_size": [16]})",
       "hidden_size is [16]; it must be an integer from 1 to 131072."},
      {kFile, R"({"hidden_size": -16})",
       "hidden_size is -16; it must be an integer from 1 to 131072."},
      {kFile, R"({"hidden_size": 18446744073709551615})",
       "hidden_size is 18446744073709551615; it must be an integer from 1 to 131072."},
      {kFile, R"({"hidden_size": 4294967312})",
       "hidden_size is 4294967312; it must be an integer from 1 to 131072."},
      {kFile, R"({"intermediate_size": 524289})",
       "intermediate_size is 524289; it must be an integer from 1 to 524288."},
      {kFile, R"({"num_hidden_layers": 1025})",
       "num_hidden_layers is 1025; it must be an integer from 1 to 1024."},
      {kFile, R"({"num_attention_heads": 0})",
       "num_attention_heads is 0; it must be an integer from 1 to 1024."},
      {kFile, R"({"num_key_value_heads": 0})",
       "num_key_value_heads is 0; it must be an integer from 1 to 1024."},
      {kFile, R"({"num_key_value_heads": 3})",
       "num_key_value_heads is 3; it must divide num_attention_heads, which is 16."},
      {kFile, R"({"num_key_value_heads": 32})",
       "num_key_value_heads is 32; it must divide num_attention_heads, which is 16."},
      {kFile, R"({"head_dim": 63})", "head_dim is 63; it must be even."},
      {kFile, R"({"head_dim": 1026})", "head_dim is 1026; it must be an integer from 2 to 1024."},
      {kFile, R"({"head_dim": null})", "head_dim is null; it must be an integer from 2 to 1024."},
      {kFile, R"({"max_position_embeddings": 0})",
       "max_position_embeddings is 0; it must be an integer from 2 to 16777216."},
      // A prompt of one token and a token generated.
      {kFile, R"({"max_position_embeddings": 1})",
       "max_position_embeddings is 1; it must be an integer from 2 to 16777216."},
      {kFile, R"({"rms_norm_eps": 0})",
       "rms_norm_eps is 0; it must be a number above 0 that a 32-bit float can hold."},
      {kFile, R"({"rms_norm_eps": 1e-60})",
       "rms_norm_eps is 1e-60; it must be a number above 0 that a 32-bit float can hold."},
      {kFile, R"({"rms_norm_eps": "1e-6"})",
       "rms_norm_eps is \"1e-6\"; it must be a number above 0 that a 32-bit float can hold."},
      {kFile, R"({"rope_theta": -1})",
       "rope_theta is -1; it must be a number above 0 that a 32-bit float can hold."},
      {kFile, R"({"rope_theta": 1e300})",
       "rope_theta is 1e+300; it must be a number above 0 that a 32-bit float can hold."},
      {kFile, R"({"tie_word_embeddings": 1})",
       "tie_word_embeddings is 1; it must be true or false."},
      {kFile, R"({"eos_token_id": 151936})",
       "eos_token_id is 151936; it must be an integer from 0 to 151935, or a list of such."},
      {kFile, R"({"eos_token_id": [1, -1]})",
       "eos_token_id is [1,-1]; it must be an integer from 0 to 151935, or a list of such."},
      {kFile, R"({"eos_token_id": "</s>"})",
       "eos_token_id is \"</s>\"; it must be an integer from 0 to 151935, or a list of such."},
      {kFile, R"({"eos_token_id": true})",
       "eos_token_id is true; it must be an integer from 0 to 151935, or a list of such."},
      {kFile, R"({"eos_token_id": [[1]]})",
       "eos_token_id is [[1]]; it must be an integer from 0 to 151935, or a list of such."},
      {kFile, R"({"mask_token_id": 151936})",
       "mask_token_id is 151936; it must be an integer from 0 to 151935."},
      {kFile, R"({"mask_token_id": null})",
       "mask_token_id is null; it must be an integer from 0 to 151935."},
      {kFile, R"({"block_size": 1})", "block_size is 1; it must be an integer from 2 to 1024."},
      {kFile, R"({"block_size": 1025})",
       "block_size is 1025; it must be an integer from 2 to 1024."},
  };
  for (const BadField& c : kCases) {
    expect_error(c.kind, "c.json: " + c.problem, [&] { parse_changed(json::parse(c.changes)); });
  }
}

TEST(Config, RequiresFields) {
  const std::pair<std::string, std::string> kCases[] = {
      {"vocab_size", "it must be an integer from 1 to 16777216."},
      {"hidden_size", "it must be an integer from 1 to 131072."},
      {"intermediate_size", "it must be an integer from 1 to 524288."},
      {"num_hidden_layers", "it must be an integer from 1 to 1024."},
      {"num_attention_heads", "it must be an integer from 1 to 1024."},
      {"block_size", "it must be an integer from 2 to 1024."},
      {"mask_token_id", "it must be an integer from 0 to 151935."},
      {"architectures",
       R"(supported are ["OrthrusLM"], ["Qwen3ForCausalLM"] and ["Qwen2ForCausalLM"].)"},
      {"num_key_value_heads", "its default 32 must divide num_attention_heads, which is 16."},
  };
  for (const auto& [field, expectation] : kCases) {
    expect_error(kFile, fmt::format("c.json: {} is missing; {}", field, expectation),
                 [&] { parse_without({field}); });
  }
}

TEST(Config, RefusesOtherModels) {
  const std::string kSupported =
      R"(supported are ["OrthrusLM"], ["Qwen3ForCausalLM"] and ["Qwen2ForCausalLM"].)";
  const std::string kTypes = R"(supported are "float32", "float16" and "bfloat16".)";
  const BadField kCases[] = {
      {kUnsupported, R"({"architectures": ["LlamaForCausalLM"]})",
       R"(architectures is ["LlamaForCausalLM"]; )" + kSupported},
      {kUnsupported, R"({"architectures": ["OrthrusLM", "Qwen3ForCausalLM"]})",
       R"(architectures is ["OrthrusLM","Qwen3ForCausalLM"]; )" + kSupported},
      {kUnsupported, R"({"architectures": "OrthrusLM"})",
       R"(architectures is "OrthrusLM"; )" + kSupported},
      {kUnsupported, R"({"dtype": "float64"})", R"(dtype is "float64"; )" + kTypes},
      {kUnsupported, R"({"dtype": null, "torch_dtype": "auto"})",
       R"(torch_dtype is "auto"; )" + kTypes},
      {kFile, R"({"dtype": 16})", "dtype is 16; " + kTypes},
      {kUnsupported, R"({"attention_bias": true})", "attention_bias is true; supported is false."},
      {kUnsupported, R"({"mlp_bias": true})", "mlp_bias is true; supported is false."},
      {kUnsupported, R"({"use_sliding_window": true})",
       "use_sliding_window is true; supported is false."},
      {kFile, R"({"attention_bias": "false"})",
       R"(attention_bias is "false"; it must be true or false.)"},
      {kFile, R"({"use_sliding_window": 0})", "use_sliding_window is 0; it must be true or false."},
      {kUnsupported, R"({"hidden_act": "gelu"})", R"(hidden_act is "gelu"; supported is "silu".)"},
      {kUnsupported, R"({"quantization_config": {"quant_method": "hqq"}})",
       R"(quantization_config.quant_method is "hqq"; supported are "fp8", "awq", "gptq" and )"
       R"("compressed-tensors"; a GGUF file of the model is, too, and its original in 16 bits.)"},
      {kUnsupported, R"({"quantization": {"bits": 4, "group_size": 64}})",
       R"(quantization is {"bits":4,"group_size":64}; weights quantized as MLX does are not )"
       "supported; a GGUF file of the model is, or its original in 16 bits."},
      {kUnsupported, R"({"partial_rotary_factor": 0.5})",
       "partial_rotary_factor is 0.5; supported is 1."},
      {kUnsupported, R"({"layer_types": ["full_attention", "sliding_attention"]})",
       R"(layer_types is ["full_attention","sliding_attention"]; element 1 is )"
       R"("sliding_attention"; supported is "full_attention" for all.)"},
      {kFile, R"({"layer_types": ["full_attention"]})",
       R"(layer_types is ["full_attention"]; it has 1 element, but num_hidden_layers is 2.)"},
      {kFile, R"({"layer_types": "full_attention"})",
       R"(layer_types is "full_attention"; it must be a list.)"},
      {kUnsupported, R"({"rope_scaling": {"rope_type": "yarn"}})",
       R"(rope_scaling.rope_type is "yarn"; supported is "default".)"},
      {kUnsupported, R"({"rope_scaling": {"type": "linear"}})",
       R"(rope_scaling.type is "linear"; supported is "default".)"},
      {kUnsupported, R"({"rope_scaling": {"factor": 4.0}})",
       "rope_scaling.factor is 4.0; the field is not supported."},
      {kFile, R"({"rope_scaling": "yarn"})",
       R"(rope_scaling is "yarn"; it must be an object or null.)"},
      {kUnsupported, R"({"rope_parameters": {"full_attention": {"rope_theta": 1000000}}})",
       R"(rope_parameters.full_attention is {"rope_theta":1000000}; the field is not supported.)"},
      {kUnsupported, R"({"rope_parameters": {"partial_rotary_factor": 0.25}})",
       "rope_parameters.partial_rotary_factor is 0.25; supported is 1."},
      {kFile, R"({"rope_parameters": {"rope_theta": 10000}})",
       "rope_parameters.rope_theta is 10000; elsewhere in the file it is 1000000."},
      {kFile, R"({"rope_parameters": {"rope_theta": 0}})",
       "rope_parameters.rope_theta is 0; it must be a number above 0 that a 32-bit float can "
       "hold."},
  };
  for (const BadField& c : kCases) {
    expect_error(c.kind, "c.json: " + c.problem, [&] { parse_changed(json::parse(c.changes)); });
  }
}

TEST(Config, RefusesBadSamplingParams) {
  const std::pair<std::string, std::string> kCases[] = {
      {R"({"eos_token_id": 151936})",
       "eos_token_id is 151936; it must be an integer from 0 to 151935, or a list of such."},
      {R"({"do_sample": "true"})", "do_sample is \"true\"; it must be true or false."},
      {R"({"do_sample": true, "temperature": -0.5})",
       "temperature is -0.5; it must be a number from 0 to 100."},
      {R"({"do_sample": true, "temperature": "hot"})",
       "temperature is \"hot\"; it must be a number from 0 to 100."},
      {R"({"do_sample": true, "top_k": 2.5})",
       "top_k is 2.5; it must be an integer from 0 to 16777216."},
      {R"({"do_sample": true, "top_p": 0})", "top_p is 0; it must be a number from 1e-06 to 1."},
      {R"({"do_sample": true, "top_p": 1.5})",
       "top_p is 1.5; it must be a number from 1e-06 to 1."},
      {R"({"do_sample": true, "min_p": -0.1})", "min_p is -0.1; it must be a number from 0 to 1."},
      {R"({"repetition_penalty": 0})",
       "repetition_penalty is 0; it must be a number from 1e-06 to 100."},
      {R"({"presence_penalty": 3})", "presence_penalty is 3; it must be a number from -2 to 2."},
      {R"({"frequency_penalty": "1"})",
       "frequency_penalty is \"1\"; it must be a number from -2 to 2."},
      {R"({"suppress_tokens": [5, -1]})",
       "suppress_tokens is [5,-1]; it must be an integer from 0 to 151935, or a list of such."},
      {R"({"stop_strings": ["a", ""]})",
       "stop_strings is [\"a\",\"\"]; it must be a string, or a list of strings, none of them "
       "empty."},
      {"[]", "is []; it must be a JSON object."},
  };
  for (const auto& [generation, problem] : kCases) {
    expect_error(kFile, "g.json: " + problem, [&] { parse_changed({}, generation); });
  }
}

TEST(Config, ReportsProblemsTogether) {
  expect_error(kFile,
               "c.json: hidden_size is 0; it must be an integer from 1 to 131072.\n"
               "c.json: hidden_act is \"relu\"; supported is \"silu\".\n"
               "g.json: do_sample is 1; it must be true or false.",
               [] {
                 parse_changed({{"hidden_size", 0}, {"hidden_act", "relu"}}, R"({"do_sample": 1})");
               });
}

TEST(Config, ShortensAndEscapesValues) {
  expect_error(
      kUnsupported,
      "c.json: hidden_act is \"\\u001b[31m" + std::string(69, 'x') + "...; supported is \"silu\".",
      [] {
        parse_changed({{"hidden_act", "\x1b[31m" + std::string(100'000, 'x')}});
      });
}

TEST(Config, RefusesWhatIsNotAnObject) {
  const std::pair<std::string, std::string> kCases[] = {
      {"null", "is null; it must be a JSON object."},
      {"[1,2]", "is [1,2]; it must be a JSON object."},
      {std::string(1'000'000, '['), "is nested more than 32 deep."},
      {std::string("{}\0", 3), "is not valid JSON: byte 2 is zero."},
      {std::string("{\"a\":NaN}\0", 10), "is not valid JSON: byte 9 is zero."},
  };
  for (const auto& [text, problem] : kCases) {
    expect_error(kFile, "c.json: " + problem, [&] { parse(text); });
  }
  for (const char* text : {"", "{", "{\"a\": 1e999}", "{\"a\": nan}", "{\"a\": NaNs}",
                           "{\"a\": +Infinity}", "{\"a\": \"\xff\"}", "{}{}"}) {
    SCOPED_TRACE(text);
    try {
      parse(text);
      ADD_FAILURE() << "No error.";
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find("c.json: is not valid JSON: "), 0u) << error.what();
    }
  }
}

// Python's json module, which published files are written by, writes and reads more than JSON has.
TEST(Config, ReadsJsonAsPythonDoes) {
  const auto with = [](const std::string& members) {
    return parse("\xef\xbb\xbf" + members + published().dump().substr(1));
  };
  for (const char* members :
       {R"({"limits": [0.0, Infinity, -Infinity], "loss": NaN, )",
        R"({"model_type": "other", "model_type": "third", "x": {"a": 1, "a": 2}, )",
        R"({"vocab_size": 151936, )", R"({"rope_theta": 1e6, )",  // twice, and equal
        R"({"text": "NaN \" Infinity \\", "Infinity": 1, )"}) {
    SCOPED_TRACE(members);
    EXPECT_EQ(with(members).vocab_size, 151936);
  }
  const std::string kPositive = "; it must be a number above 0 that a 32-bit float can hold.";
  const std::pair<std::string, std::string> kCases[] = {
      {R"({"vocab_size": 64, )",
       "vocab_size is given twice, as 64 and as 151936; it must be an integer from 1 to 16777216."},
      {R"({"vocab_size": 64, "vocab_size": {"\u001b": 2}, )",
       "vocab_size is given twice, as 64 and as {\"\\u001b\":2}; it must be an integer from 1 to "
       "16777216."},
      {R"({"rope_parameters": {"rope_type": "yarn", "rope_type": "default"}, )",
       R"(rope_parameters.rope_type is given twice, as "yarn" and as "default"; supported is )"
       R"("default".)"},
  };
  for (const auto& [members, problem] : kCases) {
    try {
      with(members);
      ADD_FAILURE() << "No error: " << members;
    } catch (const Error& error) {
      EXPECT_EQ(error.what(), "c.json: " + problem);
    }
  }
  for (const std::string number : {"NaN", "Infinity", "-Infinity"}) {
    expect_error(kFile, fmt::format("c.json: rms_norm_eps is \"{}\"{}", number, kPositive), [&] {
      json config = published();
      config.erase("rms_norm_eps");
      parse("{\"rms_norm_eps\": " + number + "," + config.dump().substr(1));
    });
  }
}

TEST(Config, NamesItsFiles) {
  test::TemporaryDirectory directory;
  const std::string path = directory.path().string();
  const auto load = [&] { load_config(directory.path()); };
  expect_error(kFile, path + ": has no config.json. There are no weights in it.", load);
  test::write_file(directory / "config.json", std::string((1 << 20) + 1, ' '));
  expect_error(kFile, path + "/config.json: has 1048577 bytes; it may have 1048576 at most.", load);
  test::write_file(directory / "config.json", published().dump());
  EXPECT_EQ(load_config(directory.path()).eos_token_ids, std::vector<int32_t>{151645});
  test::write_file(directory / "generation_config.json", R"({"eos_token_id": [151645, 151643]})");
  EXPECT_EQ(load_config(directory.path()).eos_token_ids, (std::vector<int32_t>{151645, 151643}));
  test::write_file(directory / "generation_config.json", "");
  expect_error(
      kFile, path + "/generation_config.json: is empty; its download may not have finished.", load);
  fs::remove(directory / "generation_config.json");
  fs::create_symlink("nowhere", directory / "generation_config.json");
  expect_error(kFile,
               path +
                   "/generation_config.json: is a link to nowhere, which cannot be opened: No such "
                   "file or directory.",
               load);
}

}  // namespace
}  // namespace orthrus
