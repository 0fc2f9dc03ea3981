#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "cli/run_orthrus.h"
#include "support/random_checkpoint.h"
#include "support/temporary_directory.h"

namespace orthrus::test {
namespace {

class BenchTest : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = directory_.path() / name;
    std::ofstream(path) << text;
    return path.string();
  }

  const TemporaryDirectory directory_;
};

TEST_F(BenchTest, JsonOfTwoPrompts) {
  const std::string prompts = write("prompts", "\"def f(x):\\n\"\n\n\"import \"\n");
  const nlohmann::json json =
      run_for_json({"bench", "-m", kTinyCode, "--prompts", prompts, "-n", "8", "--repeat", "2",
                    "--ignore-eos", "--block-size", "4", "--temperature", "0.5"});
  EXPECT_EQ(json["equal"], true);
  ASSERT_EQ(json["prompts"].size(), 2u);
  double logarithms = 0;
  for (const auto& row : json["prompts"]) {
    EXPECT_EQ(row["tokens"], 8);
    EXPECT_EQ(row["equal"], true);
    EXPECT_TRUE(row["difference"].is_null());
    EXPECT_GT(row["ar_tokens_per_second"], 0);
    EXPECT_GT(row["tokens_per_second"], 0);
    EXPECT_GT(row["tokens_per_forward"], 0);
    EXPECT_GE(row["acceptance_length"], 0);
    EXPECT_LE(row["acceptance_length"], 7);
    logarithms += std::log(row["ratio"].get<double>());
  }
  EXPECT_EQ(json["prompts"][0]["prompt"], "def f(x):\\n");
  const nlohmann::json settings = {{"model", kTinyCode},
                                   {"heads", "the model's own"},
                                   {"weights", "BF16"},
                                   {"draft_weights", "BF16"},
                                   {"kv_cache", "F32"},
                                   {"device", "cpu"},
                                   {"mode", "auto"},
                                   {"block_size", 4},
                                   {"tree_nodes", 32},
                                   {"lookup", true},
                                   {"max_tokens", 8},
                                   {"ignore_eos", true},
                                   {"temperature", 0.5},
                                   {"top_k", 0},
                                   {"top_p", 1.0},
                                   {"min_p", 0.0},
                                   {"repetition_penalty", 1.0},
                                   {"presence_penalty", 0.0},
                                   {"frequency_penalty", 0.0},
                                   {"seed", 0},
                                   {"chat_format", "none"},
                                   {"repeat", 2}};
  for (const auto& [name, value] : settings.items()) EXPECT_EQ(json[name], value) << name;
  const double gain = json["geometric_mean_of_ratios"];
  EXPECT_NEAR(gain, std::exp(logarithms / 2), 1e-9);
  const nlohmann::json& decisions = json["decisions"];
  int cycles = 0;
  for (const int count : decisions["drafted"]) cycles += count;
  for (const char* kind : {"leftover", "lookup"}) {
    for (const int count : decisions[kind]) cycles += count;
  }
  EXPECT_GT(cycles, 0);
  if (!decisions["expected_gain"].is_null()) {  // no draft may have seemed worth a verification
    EXPECT_NEAR(decisions["expected_gain"].get<double>() / gain,
                (cycles + decisions["expected_accepted"].get<double>()) /
                    (cycles + decisions["accepted"].get<int>()),
                1e-9);
  }
}

// tiny-code with Qwen3's chat template.
std::string chat_model(const std::filesystem::path& directory) {
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.json"}) {
    std::filesystem::create_symlink(std::filesystem::path(kTinyCode) / name, directory / name);
  }
  std::filesystem::create_symlink(std::filesystem::path(ORTHRUS_TEST_DATA) / "chat/qwen3.jinja",
                                  directory / "chat_template.jinja");
  return directory.string();
}

TEST_F(BenchTest, MessagesHaveKinds) {
  const std::string model = chat_model(directory_.path());
  const std::string prompts = write(
      "prompts", R"({"messages": [{"role": "user", "content": "Sort a list."}], "kind": "code"})"
                 "\n"
                 R"({"kind": "prose", "messages": [{"role": "system", "content": "Be brief."},)"
                 R"( {"role": "user", "content": "Tell a story."}]})"
                 "\n"
                 R"({"messages": [{"role": "user", "content": "Reverse a list."}], "kind": "code"})"
                 "\n\"import \"\n");
  const std::vector<std::string> arguments = {"bench", "-m", model,      "--prompts", prompts,
                                              "-n",    "8",  "--repeat", "1"};
  const nlohmann::json json = run_for_json(arguments);
  ASSERT_EQ(json["prompts"].size(), 4u);
  EXPECT_EQ(json["prompts"][0]["prompt"], "Sort a list.");
  EXPECT_EQ(json["prompts"][1]["prompt"], "Tell a story.");
  const auto ratio = [&](size_t i) { return json["prompts"][i]["ratio"].get<double>(); };
  EXPECT_EQ(json["kinds"].size(), 2u);
  EXPECT_NEAR(json["kinds"]["code"]["geometric_mean_of_ratios"].get<double>(),
              std::sqrt(ratio(0) * ratio(2)), 1e-9);
  EXPECT_NEAR(json["kinds"]["prose"]["geometric_mean_of_ratios"].get<double>(), ratio(1), 1e-9);
  EXPECT_EQ(json["worst_ratio"], std::min({ratio(0), ratio(1), ratio(2), ratio(3)}));
  const ProcessResult table = run_orthrus(arguments);
  EXPECT_EQ(table.exit_code, 0) << table.err;
  for (const char* part : {"2 prompts          code", "1 prompt           prose", "worst ratio"}) {
    EXPECT_NE(table.out.find(part), std::string::npos) << part << "\n" << table.out;
  }
}

TEST_F(BenchTest, WhatAFileSaysIsEscapedInTheTable) {
  const std::string prompts =
      write("prompts", R"({"messages": [{"role": "user", "content": "\u001b[1mhi"}],)"
                       R"( "kind": "\u001b[41m"})"
                       "\n");
  const ProcessResult table = run_orthrus({"bench", "-m", chat_model(directory_.path()),
                                           "--prompts", prompts, "-n", "2", "--repeat", "1"});
  EXPECT_EQ(table.exit_code, 0) << table.err;
  EXPECT_EQ(table.out.find('\x1b'), std::string::npos) << table.out;
}

TEST_F(BenchTest, APromptThatIsTooLongIsNamedByItsLine) {
  const std::string file = write("prompts", "\"import \"\n\n\"" + std::string(5000, '(') + "\"\n");
  const ProcessResult result = run_orthrus({"bench", "-m", kTinyCode, "--prompts", file});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find(file + ": line 3: The prompt has "), std::string::npos) << result.err;
}

TEST_F(BenchTest, AChatModelIsAskedQuestions) {
  const nlohmann::json json = run_for_json(
      {"bench", "-m", chat_model(directory_.path()), "-n", "2", "--repeat", "1", "--threads", "1"});
  EXPECT_EQ(json["prompts"].size(), 24u);
  EXPECT_EQ(json["kinds"].size(), 3u);
  for (const char* kind : {"code", "prose", "edit"}) EXPECT_TRUE(json["kinds"].contains(kind));
}

TEST_F(BenchTest, AModelWithoutTemplateTakesNoMessages) {
  const std::string prompts =
      write("prompts", R"({"messages": [{"role": "user", "content": "Hello"}]})");
  const ProcessResult result = run_orthrus({"bench", "-m", kTinyCode, "--prompts", prompts});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("carries no chat template"), std::string::npos) << result.err;
}

TEST_F(BenchTest, TableOfIds) {
  const ProcessResult result =
      run_orthrus({"bench", "-m", kGolden, "--prompt-ids", "87", "-n", "6", "--repeat", "1"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* part : {"AR tok/s", "auto tok/s", "plain steps", "ratio", "TPF", "accepted",
                           "--prompt-ids", "yes\n", "all   "}) {
    EXPECT_NE(result.out.find(part), std::string::npos) << part << "\n" << result.out;
  }
}

TEST_F(BenchTest, ACheckpointWithoutDiffusionViewAndLookupHasOnlyArSpeeds) {
  nlohmann::json config = small_config_json();
  config["architectures"] = {"Qwen3ForCausalLM"};
  config.erase("block_size");
  config.erase("mask_token_id");
  write_random_checkpoint(directory_.path(), config, DType::kF32);
  const std::vector<std::string> looks_up = {
      "bench", "-m", directory_.path().string(), "--prompt-ids", "1,2", "-n", "4"};
  EXPECT_GT(run_for_json(looks_up)["geometric_mean_of_ratios"], 0);
  std::vector<std::string> arguments = looks_up;
  arguments.insert(arguments.end(), {"--lookup", "off"});
  const nlohmann::json json = run_for_json(arguments);
  EXPECT_GT(json["prompts"][0]["ar_tokens_per_second"], 0);
  EXPECT_TRUE(json["prompts"][0]["tokens_per_second"].is_null());
  EXPECT_TRUE(json["geometric_mean_of_ratios"].is_null());
  const ProcessResult table = run_orthrus(arguments);
  EXPECT_EQ(table.out.find("dual"), std::string::npos) << table.out;

  std::vector<std::string> with_draft_weights = arguments;
  with_draft_weights.insert(with_draft_weights.end(), {"--draft-weights", "q8_0"});
  const ProcessResult refused = run_orthrus(with_draft_weights);
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.err.find("has no diffusion view"), std::string::npos) << refused.err;

  std::vector<std::string> with_blocks = arguments;
  with_blocks.insert(with_blocks.end(), {"--block-size", "4"});
  EXPECT_EQ(run_orthrus(with_blocks).exit_code, 2);
}

TEST_F(BenchTest, BadPromptFiles) {
  struct Case {
    std::string text, message;
  };
  const Case cases[] = {
      {"", "there is no prompt in it"},
      {"\"a\"\ndef f\n", "line 2 is \"def f\"; valid is a JSON string"},
      {"[1]\n", "line 1 is \"[1]\""},
      {std::string(1000, '['), "line 1 is \"[[["},
      {R"({"messages": []})", "line 1 is"},
      {R"({"messages": [{"role": "user"}]})", "line 1 is"},
      {R"({"messages": [{"role": "user", "content": "a", "name": "b"}]})", "line 1 is"},
      {R"({"messages": [{"role": "user", "content": "a"}], "kind": 1})", "line 1 is"},
      {R"({"messages": [{"role": "user", "content": "a"}], "king": "code"})", "line 1 is"},
      {R"({"kind": "code"})", "line 1 is"},
      {"{" + std::string(1000, '['), "line 1 is"},
  };
  for (const Case& c : cases) {
    const std::string path = write("prompts", c.text);
    const ProcessResult result = run_orthrus({"bench", "-m", kTinyCode, "--prompts", path});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_NE(result.err.find(path), std::string::npos) << result.err;
    EXPECT_NE(result.err.find(c.message), std::string::npos) << result.err;
    EXPECT_LT(result.err.size(), 600u);
  }
}

TEST_F(BenchTest, RooflineAsJson) {
  const nlohmann::json json = run_for_json(
      {"bench", "-m", kGolden, "--roofline", "--rows", "1,4,130", "--context", "20,0", "--repeat",
       "2", "--weights", "q8_0", "--draft-weights", "f16", "--kv-cache", "bf16"});
  EXPECT_EQ(json["weights"], "Q8_0");
  EXPECT_EQ(json["kv_cache"], "BF16");
  EXPECT_EQ(json["block_size"], 8);
  EXPECT_EQ(json["device"], "cpu");
  EXPECT_EQ(json["bytes_measured_by"], "reading");
  EXPECT_GT(json["bytes_per_second"], 0);
  std::vector<std::string> passes;
  for (const auto& pass : json["passes"]) {
    passes.push_back(fmt::format("{} {} {}", pass["pass"].get<std::string>(),
                                 pass["rows"].get<int>(), pass["context"].get<int>()));
    EXPECT_EQ(pass["weights"], pass["pass"] == "draft" ? "F16" : "Q8_0");
    EXPECT_GT(pass["seconds"], 0);
    EXPECT_DOUBLE_EQ(
        pass["share_of_limit"].get<double>(),
        std::max(pass["share_of_bytes"].get<double>(), pass["share_of_flops"].get<double>()));
  }
  EXPECT_EQ(passes, (std::vector<std::string>{"ar 1 20", "ar 4 20", "draft 3 20", "prefill 130 20",
                                              "ar 1 0", "ar 4 0", "draft 3 0", "prefill 130 0"}));
  EXPECT_TRUE(json["assumed_acceptance"].is_null());
  ASSERT_EQ(json["cycles"].size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    const auto& cycle = json["cycles"][i];
    const auto seconds = [&](size_t pass) { return json["passes"][4 * i + pass]["seconds"]; };
    EXPECT_EQ(cycle["context"], i == 0 ? 20 : 0);
    EXPECT_EQ(cycle["block"], 4);
    EXPECT_EQ(cycle["draft_seconds"], seconds(2));
    EXPECT_EQ(cycle["verify_seconds"], seconds(1));
    EXPECT_DOUBLE_EQ(cycle["cycles_per_second"].get<double>(),
                     1 / (seconds(1).get<double>() + seconds(2).get<double>()));
    EXPECT_DOUBLE_EQ(cycle["ar_tokens_per_second"].get<double>(), 1 / seconds(0).get<double>());
    EXPECT_TRUE(cycle["assumed_tokens_per_second"].is_null());
  }
}

TEST_F(BenchTest, AnAssumedAcceptanceGivesAssumedTokens) {
  const std::vector<std::string> arguments = {
      "bench", "-m", kGolden, "--roofline", "--rows", "8", "--assume-acceptance", "2.5"};
  const nlohmann::json json = run_for_json(arguments);
  EXPECT_EQ(json["assumed_acceptance"], 2.5);
  const auto& cycle = json["cycles"][0];
  EXPECT_EQ(cycle["block"], 8);
  EXPECT_TRUE(cycle["ar_tokens_per_second"].is_null());  // no pass of one row was wanted
  EXPECT_DOUBLE_EQ(cycle["assumed_tokens_per_second"].get<double>(),
                   3.5 * cycle["cycles_per_second"].get<double>());
  const ProcessResult table = run_orthrus(arguments);
  EXPECT_EQ(table.exit_code, 0) << table.err;
  for (const char* part : {"assumed tok/s", "2.5 accepted a cycle", "would give 3.5"}) {
    EXPECT_NE(table.out.find(part), std::string::npos) << part << "\n" << table.out;
  }
}

TEST_F(BenchTest, WithoutADiffusionViewThereAreNoCycles) {
  nlohmann::json config = small_config_json();
  config["architectures"] = {"Qwen3ForCausalLM"};
  config.erase("block_size");
  config.erase("mask_token_id");
  write_random_checkpoint(directory_.path(), config, DType::kF32);
  std::vector<std::string> arguments = {"bench",      "-m",       directory_.path().string(),
                                        "--roofline", "--repeat", "1"};
  const nlohmann::json json = run_for_json(arguments);
  EXPECT_EQ(json["block_size"], 0);
  EXPECT_TRUE(json["cycles"].empty());
  for (const auto& pass : json["passes"]) EXPECT_NE(pass["pass"], "draft");
  const ProcessResult table = run_orthrus(arguments);
  EXPECT_NE(table.out.find("no diffusion view"), std::string::npos) << table.out;
  arguments.insert(arguments.end(), {"--assume-acceptance", "1"});
  const ProcessResult refused = run_orthrus(arguments);
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.err.find("no pass of --rows drafts"), std::string::npos) << refused.err;
}

TEST_F(BenchTest, RooflineAsATable) {
  const ProcessResult result = run_orthrus(
      {"bench", "-m", kGolden, "--roofline", "--rows", "1,2", "--context", "5", "--repeat", "1"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* part : {"block size 8", "memory read", "GFLOP/s", " limit\n", "\nar ",
                           "\ndraft ", "cycles/s", "AR tok/s"}) {
    EXPECT_NE(result.out.find(part), std::string::npos) << part << "\n" << result.out;
  }
  EXPECT_EQ(result.out.find("assumed"), std::string::npos) << result.out;
}

TEST_F(BenchTest, WhatItMeasuresIsChecked) {
  struct Case {
    std::vector<std::string> arguments;
    std::string message;
  };
  const Case cases[] = {
      {{}, "one of -m/--model and --synthetic"},
      {{"-m", kGolden, "--synthetic", "qwen3-8b"}, "one of -m/--model and --synthetic"},
      {{"--synthetic", "qwen3-9b"}, "valid is one of qwen3-0.6b, qwen3-1.7b"},
      {{"-m", kGolden, "--roofline", "--rows", "1,x"},
       "--rows: item 2 is \"x\"; valid is a whole number from 1"},
      {{"-m", kGolden, "--roofline", "--rows", "0"}, "--rows: item 1 is \"0\"; valid is"},
      {{"-m", kGolden, "--roofline", "--rows", "5000"}, "5000 rows; valid is 1 to 4096"},
      {{"-m", kGolden, "--rows", "1"}, "--rows goes with --roofline only"},
      {{"-m", kGolden, "--assume-acceptance", "1"},
       "--assume-acceptance goes with --roofline only"},
      {{"-m", kGolden, "--roofline", "--context", "1,-1"}, "--context: item 2 is \"-1\"; valid is"},
      {{"-m", kGolden, "--roofline", "--assume-acceptance", "x"},
       "--assume-acceptance is \"x\"; valid is a number from 0"},
      {{"-m", kGolden, "--roofline", "--assume-acceptance", "7.5"},
       "--assume-acceptance is 7.5; valid is 0 to 7"},
      {{"-m", kGolden, "--roofline", "--rows", "1,4", "--assume-acceptance", "4"},
       "--assume-acceptance is 4; valid is 0 to 3"},
      {{"-m", kGolden, "--roofline", "--rows", "1,9", "--assume-acceptance", "1"},
       "no pass of --rows drafts"},
      {{"-m", kGolden, "--roofline", "--context", "99999999"},
       "pass of 1 row is 99999999; valid is"},
      {{"-m", kGolden, "--roofline", "--prompt-ids", "1"}, "--prompt-ids"},
      {{"-m", kGolden, "--kv-cache", "f16"}, "valid is f32 or bf16"},
      {{"-m", kGolden, "--report", "-"}, "--report is \"-\"; valid is a file's name"},
  };
  for (const Case& c : cases) {
    std::vector<std::string> arguments = {"bench"};
    arguments.insert(arguments.end(), c.arguments.begin(), c.arguments.end());
    const ProcessResult result = run_orthrus(arguments);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_NE(result.err.find(c.message), std::string::npos) << c.message << "\n" << result.err;
  }
}

}  // namespace
}  // namespace orthrus::test
