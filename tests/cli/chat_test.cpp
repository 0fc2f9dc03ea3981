#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "cli/run_orthrus.h"
#include "support/temporary_directory.h"

namespace orthrus::test {
namespace {

ProcessResult chat(const std::string& input, std::vector<std::string> more = {}) {
  std::vector<std::string> all = {"chat", "-m", kTinyCode, "--chat-format", "qwen3", "-n", "6"};
  all.insert(all.end(), more.begin(), more.end());
  return run_orthrus(all, {.input = input});
}

size_t occurrences(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(Chat, RefusesACheckpointWithoutTemplate) {
  const ProcessResult result = run_orthrus({"chat", "-m", kTinyCode}, {.input = "hi\n"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out, "");
  for (const char* part :
       {"tiny-code carries no chat template", "'orthrus generate' without --chat",
        "--chat-format uses one all the same: chatml, qwen2, qwen2.5, qwen3, qwen3-instruct-2507 "
        "or qwen3-thinking-2507."}) {
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
  }
}

// Where there is no model, that there is no template is not what is wrong.
TEST(Chat, SaysThatADirectoryHoldsNoModel) {
  const TemporaryDirectory directory;
  std::ofstream(directory.path() / "heads.gguf") << "x";
  const ProcessResult result = run_orthrus({"chat", "-m", directory.path().string()});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("has no config.json. It has the heads for a model"), std::string::npos)
      << result.err;
  EXPECT_EQ(result.err.find("template"), std::string::npos) << result.err;
}

TEST(Chat, RefusesAnUnknownTemplate) {
  const TemporaryDirectory directory;
  std::ofstream(directory.path() / "chat_template.jinja") << "{{ messages }}";
  const ProcessResult result = run_orthrus({"chat", "-m", directory.path().string()});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("carries a chat template that is not known here. "), std::string::npos)
      << result.err;
  EXPECT_NE(result.err.find("--chat-format uses one all the same: chatml, qwen2, "),
            std::string::npos)
      << result.err;
}

TEST(Chat, FormatsThatAlwaysThinkCannotBeAskedNotTo) {
  const ProcessResult result = run_orthrus(
      {"chat", "-m", kTinyCode, "--chat-format", "qwen3-thinking-2507", "--no-thinking"},
      {.input = "hi\n"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("models of the chat format qwen3-thinking-2507 always think"),
            std::string::npos)
      << result.err;
}

// The prompts differ, and their lengths with them.
TEST(Chat, TheFormatIsThatOfTheTemplateOrForced) {
  const TemporaryDirectory directory;
  for (const auto& entry : std::filesystem::directory_iterator(kTinyCode)) {
    std::filesystem::create_symlink(std::filesystem::absolute(entry.path()),
                                    directory.path() / entry.path().filename());
  }
  const std::filesystem::path data = std::filesystem::path(ORTHRUS_TEST_DATA) / "chat";
  std::filesystem::copy(data / "qwen2.5.jinja", directory.path() / "chat_template.jinja");
  const auto prompt_size = [&](std::vector<std::string> more) {
    std::vector<std::string> all = {"chat", "-m", directory.path().string(), "-n", "1"};
    all.insert(all.end(), more.begin(), more.end());
    const ProcessResult result = run_orthrus(all, {.input = "hi\n"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const std::string before = "of the prompt's ";
    const size_t at = result.err.find(before);
    EXPECT_NE(at, std::string::npos) << result.err;
    return std::stoi(result.err.substr(at + before.size()));
  };
  const int detected = prompt_size({});
  EXPECT_EQ(prompt_size({"--chat-format", "qwen2.5"}), detected);
  EXPECT_GT(detected, prompt_size({"--chat-format", "chatml"}));  // a system message
  EXPECT_LT(prompt_size({"--system", "x"}), detected);            // in the default's place
  EXPECT_EQ(prompt_size({"--no-thinking"}), detected);            // it never thinks
}

TEST(Chat, NeedsATokenizer) {
  const ProcessResult result =
      run_orthrus({"chat", "-m", kGolden, "--chat-format", "qwen3"}, {.input = "hi\n"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("comes without a tokenizer; chat needs one"), std::string::npos)
      << result.err;
}

TEST(Chat, WhatIsPipedInIsOneMessage) {
  const ProcessResult result = chat("hello\nand again\n");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(occurrences(result.err, " tokens per forward"), 1u) << result.err;
  EXPECT_NE(result.err.find("[cut off at 6 tokens (--max-tokens);"), std::string::npos);
  EXPECT_EQ(result.out.find('\x1b'), std::string::npos);
  EXPECT_TRUE(result.out.ends_with('\n'));
  EXPECT_EQ(result.out, chat("", {"-p", "hello\nand again"}).out);
}

TEST(Chat, CommandsOfATerminalAreMessagesInAPipe) {
  for (const char* text : {"/no_think\n", "/think\n", "/quit\n"}) {
    const ProcessResult result = chat(text);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(occurrences(result.err, " tokens per forward"), 1u) << result.err;
  }
}

TEST(Chat, AMessageIsAnOptionAFileOrBoth) {
  const TemporaryDirectory directory;
  const std::string file = (directory.path() / "f").string();
  std::ofstream(file) << "some text\n";
  const auto ids = [](std::vector<std::string> more, const std::string& input = "") {
    more.push_back("--json");
    const ProcessResult result = chat(input, std::move(more));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return nlohmann::json::parse(result.out)["prompt_ids"];
  };
  EXPECT_EQ(ids({"-f", file}), ids({"-p", "some text"}));
  EXPECT_EQ(ids({"-f", "-"}, "some text\n"), ids({"-p", "some text"}));
  EXPECT_EQ(ids({"-f", file, "-p", "Why?"}), ids({"-p", "some text\n\nWhy?"}));
  EXPECT_EQ(ids({"-p", "some text"}, "not read"), ids({"-p", "some text"}));
}

TEST(Chat, JsonHasTheReplyAndWhatItTakesToRepeatIt) {
  const ProcessResult first = chat("", {"-p", "hello", "--json", "--temperature", "1"});
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(first.err, "");
  const auto json = nlohmann::json::parse(first.out);
  EXPECT_EQ(json["output_ids"].size(), 6u);
  EXPECT_EQ(json["finish_reason"], "length");
  EXPECT_TRUE(json["stats"].contains("tokens_per_forward"));
  const std::string seed = std::to_string(json["seed"].get<uint64_t>());
  const auto again = nlohmann::json::parse(
      chat("", {"-p", "hello", "--json", "--temperature", "1", "--seed", seed}).out);
  EXPECT_EQ(again["output_ids"], json["output_ids"]);
  EXPECT_EQ(again["text"], json["text"]);
  // Another one every time, unless it is given.
  const auto other =
      nlohmann::json::parse(chat("", {"-p", "hello", "--json", "--temperature", "1"}).out);
  EXPECT_NE(other["seed"], json["seed"]);
}

TEST(Chat, StopStringsEndAReply) {
  const auto text = [](const std::vector<std::string>& more) {
    std::vector<std::string> all = {"chat",  "-m", kTinyCode, "--chat-format", "qwen3", "-p",
                                    "hello", "-n", "40"};
    all.insert(all.end(), more.begin(), more.end());
    return run_for_json(std::move(all))["text"].get<std::string>();
  };
  const std::string whole = text({});
  const std::string stop = whole.substr(whole.size() / 2, 3);
  EXPECT_EQ(text({"--stop", stop}), whole.substr(0, whole.find(stop)));
}

TEST(Chat, WrongMessagesAreToldBeforeTheModelIsLoaded) {
  const TemporaryDirectory directory;  // no model
  const auto error = [&](std::vector<std::string> more, const std::string& input = "") {
    std::vector<std::string> all = {"chat", "-m", directory.path().string(), "--chat-format",
                                    "qwen3"};
    all.insert(all.end(), more.begin(), more.end());
    const ProcessResult result = run_orthrus(all, {.input = input});
    EXPECT_EQ(result.exit_code, 2) << result.err;
    return result.err;
  };
  EXPECT_EQ(error({"-p", "x", "--system", "abc\xff"}),
            "orthrus: --system is not valid UTF-8: no character starts at byte 3 (0xff).\n");
  EXPECT_EQ(error({"-p", "ab\xff"}),
            "orthrus: --prompt is not valid UTF-8: no character starts at byte 2 (0xff).\n");
  EXPECT_EQ(error({}, "\xffz"),
            "orthrus: Standard input is not valid UTF-8: no character starts at byte 0 (0xff).\n");
  EXPECT_EQ(error({}), "orthrus: Standard input is empty; there is no message.\n");
  EXPECT_EQ(error({"--prompt="}), "orthrus: --prompt: the text is empty.\n");
}

TEST(Chat, TheSystemMessageAndThinkingAreInThePrompt) {
  // A reply is a function of the prompt; its size shows in the summary.
  const auto prompt_size = [](const ProcessResult& result) {
    const size_t at = result.err.find("prompt's ");
    EXPECT_NE(at, std::string::npos) << result.err;
    return std::stoi(result.err.substr(at + 9));
  };
  const int plain = prompt_size(chat("hello\n"));
  EXPECT_GT(prompt_size(chat("hello\n", {"--system", "Be kind."})), plain);
  EXPECT_GT(prompt_size(chat("hello\n", {"--no-thinking"})), plain);
}

TEST(Chat, AMessageTooLongForTheContextIsRefused) {
  std::string message;
  for (int i = 0; i < 2100; ++i) message += "x ";
  const ProcessResult result = chat(message + "\n");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("the model's context of 2048 has no room for a reply"),
            std::string::npos)
      << result.err;
  EXPECT_EQ(result.out, "");
}

TEST(Chat, InterruptEndsAReplyToAPipe) {
  const ProcessResult result =
      run_orthrus({"chat", "-m", kTinyCode, "--chat-format", "qwen3", "--mode", "ar"},
                  {.input = "def f(x):\n", .interrupt_at_first_output = true});
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_NE(result.err.find("[interrupted;"), std::string::npos) << result.err;
}

TEST(Chat, DualModeSaysWhatArModeSays) {
  const std::string dual = chat("def f(x):\nreturn x\n").out;
  EXPECT_EQ(chat("def f(x):\nreturn x\n", {"--mode", "ar"}).out, dual);
}

}  // namespace
}  // namespace orthrus::test
