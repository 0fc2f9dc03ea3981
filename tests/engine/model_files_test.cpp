// One network in every kind of file that holds it.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "orthrus/engine.h"
#include "support/gguf_model.h"
#include "support/temporary_directory.h"

namespace orthrus {
namespace {

namespace fs = std::filesystem;
using test::GgufWriter;
using test::TensorToWrite;

ModelConfig small_config(bool biases) {
  ModelConfig config;
  config.vocab_size = 60;
  config.hidden_size = 48;
  config.intermediate_size = 64;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 6;
  config.num_key_value_heads = 2;
  config.head_dim = 8;
  config.rms_norm_eps = 1e-5f;
  config.rope_theta = 20000;
  config.max_position_embeddings = 128;
  config.has_qkv_bias = biases;
  config.has_qk_norm = !biases;
  return config;
}

void write_directory(const fs::path& directory, const ModelConfig& config,
                     const std::vector<TensorToWrite>& tensors) {
  nlohmann::json json = {{"vocab_size", config.vocab_size},
                         {"hidden_size", config.hidden_size},
                         {"intermediate_size", config.intermediate_size},
                         {"num_hidden_layers", config.num_hidden_layers},
                         {"num_attention_heads", config.num_attention_heads},
                         {"num_key_value_heads", config.num_key_value_heads},
                         {"rms_norm_eps", 1e-5},
                         {"rope_theta", config.rope_theta},
                         {"max_position_embeddings", config.max_position_embeddings}};
  json["architectures"] = {config.has_qkv_bias ? "Qwen2ForCausalLM" : "Qwen3ForCausalLM"};
  if (config.has_qk_norm) json["head_dim"] = config.head_dim;
  fs::create_directory(directory);
  write_config(directory, json);
  test::write_safetensors(directory / "model.safetensors", tensors);
}

// Two files, the first with the metadata and every other tensor.
void write_parts(const fs::path& directory, const ModelConfig& config,
                 const std::vector<TensorToWrite>& tensors) {
  const GgufWriter whole = gguf_of(config, tensors);
  GgufWriter first = whole, second;
  first.entries.clear();
  for (size_t i = 0; i < whole.entries.size(); ++i) {
    (i % 2 == 0 ? first : second).entry(whole.entries[i]);
  }
  first.u16("split.no", 0).u16("split.count", 2).write(directory / "m-00001-of-00002.gguf");
  second.u16("split.no", 1).u16("split.count", 2).write(directory / "m-00002-of-00002.gguf");
}

std::vector<int32_t> generate(const fs::path& model) {
  Request request;
  request.prompt = {1, 2, 3};
  request.options.max_tokens = 32;
  return Engine::load(model, {.threads = 1}).generate(request).output_ids;
}

TEST(ModelFiles, OfEveryKindGiveTheSameTokens) {
  for (const bool biases : {true, false}) {
    const ModelConfig config = small_config(biases);
    const auto tensors = test::random_tensors_in(config, DType::kF32);
    const test::TemporaryDirectory directory;
    write_directory(directory / "hf", config, tensors);
    gguf_of(config, tensors).write(directory / "m.gguf");
    write_parts(directory.path(), config, tensors);
    const std::vector<int32_t> expected = generate(directory / "hf");
    EXPECT_EQ(expected.size(), 32u);
    for (const char* name : {"m.gguf", "m-00001-of-00002.gguf", "m-00002-of-00002.gguf"}) {
      EXPECT_EQ(generate(directory / name), expected) << name;
    }
  }
}

}  // namespace
}  // namespace orthrus
