#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "cli/run_orthrus.h"
#include "orthrus/tokenizer.h"
#include "support/temporary_directory.h"

namespace orthrus::test {
namespace {

using Arguments = std::vector<std::string>;

const std::string kPrompt = "def fibonacci(n):\n";

Arguments generate(Arguments more = {}) {
  Arguments all = {"generate", "-m", kTinyCode, "-p", kPrompt, "-n", "16"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

std::vector<std::string> keys_of(const nlohmann::json& object) {
  std::vector<std::string> keys;
  for (const auto& item : object.items()) keys.push_back(item.key());
  return keys;
}

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "there is no \"" << part << "\" in:\n" << text;
}

const Tokenizer& tokenizer() {
  static const Tokenizer loaded = Tokenizer::load(kTinyCode + "/tokenizer.json");
  return loaded;
}

TEST(Generate, AChatMessageIsRendered) {
  const std::vector<std::string> model = {"generate", "-m", kTinyCode, "-n", "3"};
  const auto with = [&](std::initializer_list<std::string> more) {
    std::vector<std::string> arguments = model;
    arguments.insert(arguments.end(), more);
    return arguments;
  };
  const nlohmann::json chat =
      run_for_json(with({"--chat", "--chat-format", "chatml", "-p", "Hello"}));
  const nlohmann::json plain =
      run_for_json(with({"-p", "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"}));
  EXPECT_EQ(chat["prompt_ids"], plain["prompt_ids"]);

  const ProcessResult ids = run_orthrus(with({"--chat", "--prompt-ids", "1,2"}));
  EXPECT_EQ(ids.exit_code, 2);
  EXPECT_NE(ids.err.find("--chat takes a text"), std::string::npos) << ids.err;
  const ProcessResult base = run_orthrus(with({"--chat", "-p", "Hello"}));
  EXPECT_EQ(base.exit_code, 1);
  EXPECT_NE(base.err.find("carries no chat template"), std::string::npos) << base.err;
}

TEST(Generate, ARandomSeedIsToldAndRepeatsTheRun) {
  const Arguments sampled = generate({"--temperature", "1"});
  const auto with_seed = [&](const std::string& seed) {
    Arguments arguments = sampled;
    arguments.insert(arguments.end(), {"--seed", seed});
    return arguments;
  };
  const nlohmann::json drawn = run_for_json(with_seed("random"));
  EXPECT_NE(run_for_json(with_seed("random"))["seed"], drawn["seed"]);
  const ProcessResult again = run_orthrus(with_seed(drawn["seed"].dump()));
  EXPECT_EQ(again.out, drawn["text"].get<std::string>());
  EXPECT_EQ(again.err.find("seed"), std::string::npos) << again.err;
  expect_contains(run_orthrus(with_seed("random")).err, "\nseed               ");
  EXPECT_EQ(run_for_json(sampled)["seed"], 0);
}

TEST(Generate, TextOnOutputSummaryOnErrors) {
  const ProcessResult result = run_orthrus(generate({"--mode", "dual"}));
  EXPECT_EQ(result.exit_code, 0);
  const auto ids = run_for_json(generate())["output_ids"].get<std::vector<int32_t>>();
  EXPECT_EQ(result.out, tokenizer().decode(ids, true));
  for (const char* part :
       {"tokens             16, finish reason length", "1 prefill", "AR (verify)",
        "diffusion (draft)", "acceptance length", "tokens per forward", "tokens/s"}) {
    expect_contains(result.err, part);
  }
  EXPECT_EQ(result.err.find('\x1b'), std::string::npos);
}

TEST(Generate, JsonHasItsFields) {
  const nlohmann::json json = run_for_json(generate({"--mode", "dual"}));
  EXPECT_EQ(keys_of(json), (Arguments{"finish_reason", "output_ids", "prompt_ids", "seed", "stats",
                                      "text"}));  // in the order of the alphabet
  EXPECT_EQ(keys_of(json["stats"]),
            (Arguments{"acceptance_length", "accepted", "ar_passes", "cycles", "decode_seconds",
                       "diffusion_passes", "prefill_passes", "prefill_seconds",
                       "tokens_per_forward", "tokens_per_second"}));
  const auto ids = json["output_ids"].get<std::vector<int32_t>>();
  EXPECT_EQ(ids.size(), 16u);
  EXPECT_EQ(json["text"], tokenizer().decode(ids, true));
  EXPECT_EQ(json["prompt_ids"].get<std::vector<int32_t>>(), tokenizer().encode(kPrompt));
  EXPECT_EQ(json["finish_reason"], "length");

  const nlohmann::json& stats = json["stats"];
  const int cycles = stats["cycles"];
  ASSERT_GT(cycles, 0);
  EXPECT_EQ(stats["prefill_passes"], 1);
  EXPECT_EQ(stats["diffusion_passes"], cycles);
  EXPECT_DOUBLE_EQ(stats["acceptance_length"], stats["accepted"].get<double>() / cycles);
  const int passes = 1 + stats["ar_passes"].get<int>() + cycles;
  EXPECT_DOUBLE_EQ(stats["tokens_per_forward"], 16.0 / passes);
}

TEST(Generate, PromptFromFileAndFromStandardInput) {
  const std::string expected = run_orthrus(generate()).out;
  const TemporaryDirectory directory;
  std::ofstream(directory.path() / "prompt.py") << kPrompt;
  const ProcessResult from_file = run_orthrus({"generate", "-m", kTinyCode, "-n", "16", "--file",
                                               (directory.path() / "prompt.py").string()});
  EXPECT_EQ(from_file.out, expected);
  for (const Arguments& source : {Arguments{}, {"-f", "-"}, {"--file=-"}}) {
    Arguments arguments = {"generate", "-m", kTinyCode, "-n", "16"};
    arguments.insert(arguments.end(), source.begin(), source.end());
    EXPECT_EQ(run_orthrus(arguments, {.input = kPrompt}).out, expected);
  }
}

TEST(Generate, PromptFromAFifo) {
  const TemporaryDirectory directory;
  const std::string fifo = directory / "fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(fifo) << kPrompt; });
  EXPECT_EQ(run_orthrus({"generate", "-m", kTinyCode, "-n", "16", "-f", fifo}).out,
            run_orthrus(generate()).out);
  writer.join();
}

TEST(Generate, AZeroByteIsPartOfAPrompt) {
  const std::string text("a\0b", 3);
  const ProcessResult result =
      run_orthrus({"generate", "-m", kTinyCode, "-n", "1", "--json"}, {.input = text});
  EXPECT_EQ(nlohmann::json::parse(result.out)["prompt_ids"], tokenizer().encode(text));
}

TEST(Generate, QuietHasNoSummary) {
  const ProcessResult quiet = run_orthrus(generate({"--quiet"}));
  EXPECT_EQ(quiet.exit_code, 0);
  EXPECT_EQ(quiet.err, "");
  EXPECT_EQ(quiet.out, run_orthrus(generate()).out);
  const ProcessResult compared = run_orthrus(generate({"-q", "--compare-ar"}));
  EXPECT_EQ(compared.exit_code, 0);
  EXPECT_EQ(compared.err, "");
  EXPECT_NE(run_orthrus(generate({"--quiet", "--mode", "dual", "--block-size", "99"})).err, "");
}

TEST(Generate, IdsFromFilesAndStandardInput) {
  const TemporaryDirectory directory;
  const nlohmann::json expected = {323, 286, 7};
  const Arguments options = {"generate", "-m", kTinyCode, "-n", "1", "--json", "--prompt-ids"};
  const auto prompt_of = [&](const std::string& value, const std::string& input) {
    Arguments arguments = options;
    arguments.push_back(value);
    const ProcessResult result = run_orthrus(arguments, {.input = input});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return nlohmann::json::parse(result.out)["prompt_ids"];
  };
  const std::string file = directory / "ids";
  for (const std::string text : {"323,286,7", "323, 286, 7\n", "[323, 286, 7]\n", "323\t286\t7\r\n",
                                 "323\r\n286\r\n7\r\n", "[\n  323,\n  286,\n  7\n]\n"}) {
    EXPECT_EQ(prompt_of(text, ""), expected) << text;
    EXPECT_EQ(prompt_of("-", text), expected) << text;
    std::ofstream(file) << text;
    EXPECT_EQ(prompt_of("@" + file, ""), expected) << text;
  }
}

TEST(Generate, IdsWithoutTokenizer) {
  std::ifstream file(kGolden + "/expected.json");
  const nlohmann::json expected = nlohmann::json::parse(file)[0];
  const std::vector<int32_t> prompt = expected["prompt"];
  ASSERT_EQ(prompt.size(), 1u);
  std::vector<int32_t> ids = expected["generate_dual"];
  ids.erase(ids.begin());  // the prompt
  ids.resize(12);
  const Arguments arguments = {
      "generate", "-m", kGolden,       "--prompt-ids", std::to_string(prompt[0]),
      "-n",       "12", "--ignore-eos"};
  const nlohmann::json json = run_for_json(arguments);
  EXPECT_FALSE(json.contains("text"));
  EXPECT_EQ(json["prompt_ids"], prompt);
  EXPECT_EQ(json["output_ids"], ids);

  std::string in_words;
  for (const int32_t id : ids) {
    if (!in_words.empty()) in_words += ',';
    in_words += std::to_string(id);
  }
  EXPECT_EQ(run_orthrus(arguments).out, in_words + "\n");
}

TEST(Generate, StopStringsEndTheText) {
  const std::string text = run_orthrus(generate()).out;
  const std::string stop = text.substr(text.size() / 2, 3);
  const nlohmann::json json = run_for_json(generate({"--stop", "no such text", "--stop", stop}));
  EXPECT_EQ(json["text"], text.substr(0, text.find(stop)));
  EXPECT_EQ(json["finish_reason"], "stop");
  // Brackets are a list in some command lines; not here.
  EXPECT_EQ(run_for_json(generate({"--stop", "[" + stop + "]"}))["text"], text);
}

TEST(Generate, HowDoesNotChangeWhat) {
  const nlohmann::json expected = run_for_json(generate({"--mode", "ar"}));
  EXPECT_EQ(expected["stats"]["diffusion_passes"], 0);
  EXPECT_EQ(expected["stats"]["ar_passes"], 15);
  const Arguments ways[] = {{"--mode", "dual"},        {"--block-size", "2"},
                            {"--block-size=5"},        {"--accept", "match"},
                            {"--accept", "rejection"}, {"--prefill-chunk", "3"},
                            {"--lookup", "off"},       {"--threads", "1"}};
  for (const Arguments& way : ways) {
    EXPECT_EQ(run_for_json(generate(way))["output_ids"], expected["output_ids"]) << way[0];
  }
}

TEST(Generate, SeedsDecideWhenSampling) {
  const auto sampled = [](const std::string& seed, const std::string& mode) {
    return run_for_json(
        generate({"--temperature", "1", "--top-k", "50", "--top-p", "0.95", "--min-p", "0.01",
                  "--seed", seed, "--mode", mode}))["output_ids"];
  };
  const nlohmann::json first = sampled("1", "ar");
  EXPECT_EQ(sampled("1", "dual"), first);
  EXPECT_NE(sampled("2", "dual"), first);
  EXPECT_NE(sampled("18446744073709551615", "dual"), first);
}

// tiny-code with another generation_config.json.
void write_tiny_code(const std::filesystem::path& directory, const char* generation) {
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.json"}) {
    std::filesystem::create_symlink(kTinyCode + "/" + name, directory / name);
  }
  std::ofstream(directory / "generation_config.json") << generation;
}

TEST(Generate, TheCheckpointsSamplingIsTheDefault) {
  const TemporaryDirectory directory;
  write_tiny_code(directory.path(),
                  R"({"do_sample": true, "temperature": 1.0, "top_k": 40, "top_p": 0.9})");
  const auto ids = [&](const std::string& model, Arguments more) {
    Arguments all = {"generate", "-m", model, "-p", kPrompt, "-n", "16", "--seed", "5"};
    all.insert(all.end(), more.begin(), more.end());
    return run_for_json(all)["output_ids"];
  };
  const nlohmann::json greedy = ids(kTinyCode, {});
  const nlohmann::json sampled =
      ids(kTinyCode, {"--temperature", "1", "--top-k", "40", "--top-p", "0.9"});
  ASSERT_NE(greedy, sampled);
  EXPECT_EQ(ids(directory.path().string(), {}), sampled);
  EXPECT_EQ(ids(directory.path().string(), {"--temperature", "0"}), greedy);
}

TEST(Generate, PenaltiesChangeTheTokensAndNotTheModes) {
  const auto ids = [](Arguments more) {
    more.insert(more.begin(), {"generate", "-m", kTinyCode, "-p", kPrompt, "-n", "60"});
    more.push_back("--ignore-eos");
    return run_for_json(more)["output_ids"];
  };
  const nlohmann::json plain = ids({});
  for (const char* option :
       {"--repetition-penalty=1.3", "--presence-penalty=1.5", "--frequency-penalty=0.5"}) {
    const nlohmann::json penalised = ids({option, "--mode", "ar"});
    EXPECT_NE(penalised, plain) << option;
    EXPECT_EQ(ids({option, "--mode", "dual"}), penalised) << option;
  }
  EXPECT_EQ(ids({"--repetition-penalty", "1", "--presence-penalty", "0"}), plain);
}

TEST(Generate, TheCheckpointsPenaltiesSuppressedTokensAndStopStringsAreTheDefault) {
  const Arguments asked = {"-p", kPrompt, "-n", "24", "--mode", "ar"};
  const auto run = [&](const std::filesystem::path& model, Arguments more) {
    Arguments all = {"generate", "-m", model.string()};
    all.insert(all.end(), asked.begin(), asked.end());
    all.insert(all.end(), more.begin(), more.end());
    return run_for_json(all);
  };
  const TemporaryDirectory penalised;
  write_tiny_code(penalised.path(), R"({"repetition_penalty": 1.3})");
  const nlohmann::json plain = run(kTinyCode, {});
  EXPECT_EQ(run(penalised.path(), {})["output_ids"],
            run(kTinyCode, {"--repetition-penalty", "1.3"})["output_ids"]);
  EXPECT_EQ(run(penalised.path(), {"--repetition-penalty", "1"})["output_ids"],
            plain["output_ids"]);

  const TemporaryDirectory suppressed;
  const nlohmann::json first = plain["output_ids"][0];
  write_tiny_code(suppressed.path(), nlohmann::json({{"suppress_tokens", {first}}}).dump().c_str());
  const nlohmann::json without = run(suppressed.path(), {})["output_ids"];
  EXPECT_EQ(std::count(without.begin(), without.end(), first), 0);

  const TemporaryDirectory stopped;
  const std::string text = plain["text"], stop = text.substr(10, 4);
  write_tiny_code(stopped.path(), nlohmann::json({{"stop_strings", {stop}}}).dump().c_str());
  EXPECT_EQ(run(stopped.path(), {})["text"], text.substr(0, text.find(stop)));
  EXPECT_EQ(run(stopped.path(), {"--ignore-eos"})["output_ids"],
            run(kTinyCode, {"--ignore-eos"})["output_ids"]);
}

TEST(Generate, AChatFormatWhoseMarksAreNoTokensIsAWarning) {
  const TemporaryDirectory directory;
  for (const char* name : {"config.json", "model.safetensors"}) {
    std::filesystem::create_symlink(kTinyCode + "/" + name, directory / name);
  }
  std::stringstream text;
  text << std::ifstream(kTinyCode + "/tokenizer.json").rdbuf();
  std::string json = text.str();
  const std::string mark = "<|im_end|>";
  for (size_t at = 0; (at = json.find(mark, at)) != std::string::npos;) json[at + 2] = 'o';
  std::ofstream(directory / "tokenizer.json") << json;
  const auto said = [&](const std::string& model) {
    return run_orthrus(
               {"generate", "-m", model, "--chat", "--chat-format", "chatml", "-p", "x", "-n", "1"})
        .err;
  };
  EXPECT_EQ(said(kTinyCode).find("warning"), std::string::npos);
  expect_contains(said(directory.path().string()),
                  "warning: --chat-format chatml: this model's vocabulary has no token <|im_end|>");
}

TEST(Generate, WhatTheCheckpointAsksForInVainIsAWarning) {
  const TemporaryDirectory directory;
  write_tiny_code(directory.path(), R"({"no_repeat_ngram_size": 2})");
  const ProcessResult result =
      run_orthrus({"generate", "-m", directory.path().string(), "-p", kPrompt, "-n", "2"});
  EXPECT_EQ(result.exit_code, 0);
  expect_contains(result.err, "warning: ");
  expect_contains(result.err,
                  "no_repeat_ngram_size is 2; this is not supported and has no effect.");
}

TEST(Generate, ComparesWithPlainAr) {
  const ProcessResult result = run_orthrus(generate({"--compare-ar"}));
  EXPECT_EQ(result.exit_code, 0);
  expect_contains(result.err, "plain AR decoding  ");
  expect_contains(result.err, "same ids as plain AR decoding: yes (16 tokens)\n");
  EXPECT_EQ(run_for_json(generate({"--compare-ar"}))["equal_to_ar"], true);
  EXPECT_EQ(run_for_json(generate(
                {"--compare-ar", "--block-size", "4", "--temperature", "0.8"}))["equal_to_ar"],
            true);
}

TEST(Generate, InterruptEndsWithTheSummary) {
  const ProcessResult result = run_orthrus(
      {"generate", "-m", kTinyCode, "-p", kPrompt, "-n", "2000", "--ignore-eos", "--mode", "ar"},
      {.interrupt_at_first_output = true});
  EXPECT_EQ(result.exit_code, 130);
  expect_contains(result.err, "finish reason cancelled");
  expect_contains(result.err, "tokens per forward");
}

TEST(Generate, EndsQuietlyWhenItsReaderGoes) {
  const ProcessResult result = run_orthrus(
      {"generate", "-m", kTinyCode, "-p", kPrompt, "-n", "2000", "--ignore-eos", "--mode", "ar"},
      {.close_at_first_output = true});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "");
}

// Nor is the prompt shown before.
TEST(Generate, WhatIsWrongIsToldBeforeWeightsAreRead) {
  const TemporaryDirectory directory;
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.json"}) {
    std::filesystem::copy(kTinyCode + "/" + name, directory.path() / name);
  }
  const auto end = std::filesystem::file_size(directory / "model.safetensors");
  std::fstream file(directory / "model.safetensors", std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(end - 2));
  file.write("\xff\xff", 2);  // NaN
  file.close();
  const auto run = [&](Arguments more) {
    Arguments all = {"generate", "-m", directory.path().string(), "--color", "always", "-n", "3"};
    all.insert(all.end(), more.begin(), more.end());
    return run_in_terminal(all).out;
  };
  expect_contains(run({"-p", kPrompt}), "NaN");
  for (const Arguments& wrong :
       {Arguments{"-p", kPrompt, "--block-size", "1000"}, Arguments{"--prompt-ids", "1,999999"},
        Arguments{"--chat", "-p", kPrompt}}) {
    const std::string out = run(wrong);
    EXPECT_EQ(out.find("NaN"), std::string::npos) << out;
    EXPECT_EQ(out.find(kPrompt.substr(0, 8)), std::string::npos) << out;
    expect_contains(out, "orthrus: ");
  }
}

TEST(Generate, AFullDiskIsAFailure) {
  const ProcessResult result = run_orthrus(generate(), {.output_file = "/dev/full"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "orthrus: Cannot write to standard output: No space left on device.\n");
}

}  // namespace
}  // namespace orthrus::test
