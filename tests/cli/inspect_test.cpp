#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "cli/run_orthrus.h"
#include "support/random_checkpoint.h"
#include "support/temporary_directory.h"

namespace orthrus::test {
namespace {

TEST(Inspect, SumsAddUp) {
  for (const std::string& model : {kTinyCode, kGolden}) {
    const nlohmann::json json = run_for_json({"inspect", "-m", model});
    int64_t parameters = 0, bytes = 0;
    std::map<std::string, int64_t> parts;
    for (const auto& tensor : json["tensors"]) {
      int64_t product = 1;
      for (const int64_t size : tensor["shape"]) product *= size;
      EXPECT_EQ(tensor["parameters"], product) << tensor;
      EXPECT_EQ(tensor["bytes"], product * (tensor["dtype"] == "F32" ? 4 : 2)) << tensor;
      parameters += product;
      bytes += tensor["bytes"].get<int64_t>();
      parts[tensor["part"]] += product;
    }
    EXPECT_GT(parameters, 0);
    EXPECT_EQ(json["total"]["parameters"], parameters);
    EXPECT_EQ(json["total"]["bytes"], bytes);
    EXPECT_EQ(json["parts"].size(), parts.size());
    int64_t of_formats = 0;
    for (const auto& format : json["formats"]) of_formats += format["bytes"].get<int64_t>();
    EXPECT_EQ(of_formats, bytes);
    EXPECT_EQ(json["chat_format"], "none");
    EXPECT_TRUE(json["vocabulary"].is_null());
    EXPECT_TRUE(json["heads"].is_null());
    for (const auto& part : json["parts"]) EXPECT_EQ(part["parameters"], parts[part["name"]]);
    EXPECT_EQ(json["ar_view"]["parameters"], parameters - parts["attention (diffusion view)"]);
    EXPECT_EQ(json["diffusion_view"]["parameters"], parameters - parts["attention (AR view)"]);

    const nlohmann::json& config = json["config"];
    const int64_t per_token = int64_t{2} * 4 * config["num_hidden_layers"].get<int64_t>() *
                              config["num_key_value_heads"].get<int64_t>() *
                              config["head_dim"].get<int64_t>();
    EXPECT_EQ(json["cache_bytes_per_token"], per_token);
    EXPECT_EQ(json["cache_bytes_of_context"],
              per_token * config["max_position_embeddings"].get<int64_t>());
  }
}

TEST(Inspect, NumbersAreAsTheFileHasThem) {
  const ProcessResult result = run_orthrus({"inspect", "-m", kTinyCode, "--json"});
  EXPECT_NE(result.out.find("\"rms_norm_eps\":1e-06,"), std::string::npos);
}

TEST(Inspect, SaysWhatGenerationConfigSuggests) {
  const TemporaryDirectory directory;
  for (const char* name : {"config.json", "model.safetensors"}) {
    std::filesystem::create_symlink(kTinyCode + "/" + name, directory.path() / name);
  }
  std::ofstream(directory.path() / "generation_config.json")
      << R"({"repetition_penalty": 1.1, "suppress_tokens": [4, 9], "stop_strings": ["\n\n"],
             "num_beams": 4})";
  const ProcessResult text = run_orthrus({"inspect", "-m", directory.path().string()});
  for (const char* part : {"greedy decoding, repetition penalty 1.1, 2 tokens suppressed, "
                           "stop at \"\\n\\n\"\n",
                           "warning          ", "num_beams is 4; this is not supported"}) {
    EXPECT_NE(text.out.find(part), std::string::npos) << part << "\n" << text.out;
  }
  const nlohmann::json json = run_for_json({"inspect", "-m", directory.path().string()});
  EXPECT_EQ(json["config"]["generation"],
            nlohmann::json({{"temperature", 0.0},
                            {"top_k", 0},
                            {"top_p", 1.0},
                            {"min_p", 0.0},
                            {"repetition_penalty", 1.1},
                            {"presence_penalty", 0.0},
                            {"frequency_penalty", 0.0},
                            {"suppress_tokens", {4, 9}},
                            {"stop_strings", nlohmann::json::array({"\n\n"})}}));
  EXPECT_EQ(json["config"]["warnings"].size(), 1u);
}

TEST(Inspect, TextForAPerson) {
  const ProcessResult summary = run_orthrus({"inspect", "-m", kTinyCode});
  EXPECT_EQ(summary.exit_code, 0);
  for (const char* part :
       {"OrthrusLM", "tokenizer        tokenizer.json", "chat format      none", "BF16 ",
        "blocks of up to 16 tokens, mask id 3", "24,291,712", "attention (diffusion view)",
        "AR view", "20.0 MiB at the full context"}) {
    EXPECT_NE(summary.out.find(part), std::string::npos) << part << "\n" << summary.out;
  }
  EXPECT_EQ(summary.out.find("model.embed_tokens.weight"), std::string::npos);
  const ProcessResult listed = run_orthrus({"inspect", "-m", kTinyCode, "--tensors"});
  EXPECT_TRUE(listed.out.starts_with(summary.out));
  EXPECT_NE(listed.out.find("model.embed_tokens.weight"), std::string::npos);
  EXPECT_NE(listed.out.find("8192 x 384"), std::string::npos);
}

TEST(Inspect, TellsOfAPairwiseTerm) {
  const TemporaryDirectory directory;
  write_config(directory.path(), small_config_json());
  ModelConfig config = load_config(directory.path());
  config.pair_rank = 6;
  write_safetensors(directory / "model.safetensors", random_tensors(config, DType::kBF16));
  const std::string model = directory.path().string();
  const ProcessResult text = run_orthrus({"inspect", "-m", model, "--tensors"});
  for (const char* part :
       {"blocks of up to 8 tokens, mask id 49, pairwise term of rank 6\n",
        "pairwise (diffusion view)               600", "model.pair_next_diff.weight"}) {
    EXPECT_NE(text.out.find(part), std::string::npos) << part << "\n" << text.out;
  }
  EXPECT_EQ(run_for_json({"inspect", "-m", model})["config"]["pair_rank"], 6);
  EXPECT_EQ(run_for_json({"inspect", "-m", kTinyCode})["config"]["pair_rank"], 0);
}

}  // namespace
}  // namespace orthrus::test
