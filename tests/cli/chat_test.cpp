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
       {"tiny-code carries no chat template", "'orthrus generate'",
        "--chat-format uses one all the same: chatml, qwen2, qwen2.5, qwen3, qwen3-instruct-2507 "
        "or qwen3-thinking-2507."}) {
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
  }
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

TEST(Chat, TwoTurnsOverAPipeKeepTheCache) {
  const ProcessResult result = chat("hello\nand again");  // the last line without its end
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(occurrences(result.err, " tokens per forward"), 2u) << result.err;
  EXPECT_EQ(occurrences(result.err, ", 0 of the prompt's"), 1u) << result.err;
  EXPECT_EQ(result.out.find('\x1b'), std::string::npos);
  EXPECT_TRUE(result.out.ends_with('\n'));
  EXPECT_EQ(result.out.find("> "), std::string::npos) << "the prompt of a terminal";
}

TEST(Chat, ATurnDependsOnTheTurnsBefore) {
  const std::string alone = chat("hello\n").out;
  const std::string both = chat("what is this\nhello\n").out;
  const std::string cleared = chat("what is this\n/clear\nhello\n").out;
  EXPECT_FALSE(cleared.ends_with(alone) && both.ends_with(alone)) << both;
  EXPECT_TRUE(cleared.ends_with(alone)) << cleared;
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

TEST(Chat, ExitEndsItAndHelpHelps) {
  const ProcessResult result = chat("/help\n\n/exit\nnever read\n");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "");
  EXPECT_NE(result.err.find("/clear  start over"), std::string::npos) << result.err;
}

TEST(Chat, CommandsMayHaveSpacesAroundAndUnknownOnesAreNotMessages) {
  const ProcessResult result = chat(" /help \n/quit\n\t/exit\nnever read\n");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "");
  EXPECT_NE(result.err.find("/clear  start over"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("\"/quit\" is not a command; valid is /clear, /exit or /help."),
            std::string::npos)
      << result.err;
  EXPECT_NE(chat("/usr/bin is a folder\n").out, "") << "a path is a message";
}

TEST(Chat, AMessageTooLongForTheContextIsRefusedAndTheChatGoesOn) {
  std::string message;
  for (int i = 0; i < 2100; ++i) message += "x ";
  const ProcessResult result = chat(message + "\nhello\n");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("the model's context of 2048 has no room for an answer"),
            std::string::npos)
      << result.err;
  EXPECT_EQ(result.out, chat("hello\n").out);
}

TEST(Chat, AMessageThatIsNotUtf8IsRefusedAndTheChatGoesOn) {
  const ProcessResult result = chat("ab\xff\nhello\n");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("byte 2 (0xff)"), std::string::npos) << result.err;
  EXPECT_EQ(result.out, chat("hello\n").out);
}

TEST(Chat, InterruptEndsAPipedChat) {
  const ProcessResult result =
      run_orthrus({"chat", "-m", kTinyCode, "--chat-format", "qwen3", "--mode", "ar"},
                  {.input = "def f(x):\nnever answered\n", .interrupt_at_first_output = true});
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_EQ(occurrences(result.err, " tokens per forward"), 1u) << result.err;
}

TEST(Chat, DualModeSaysWhatArModeSays) {
  const std::string dual = chat("def f(x):\nreturn x\n").out;
  EXPECT_EQ(chat("def f(x):\nreturn x\n", {"--mode", "ar"}).out, dual);
}

}  // namespace
}  // namespace orthrus::test
