#include <gtest/gtest.h>

#include <algorithm>

#include "cli/run_orthrus.h"

namespace orthrus::test {
namespace {

using Arguments = std::vector<std::string>;

const Arguments kGenerate = {"generate", "-m", kTinyCode, "-p",  "def f(x):\n",
                             "-n",       "12", "--mode",  "dual"};

std::string without_colors(std::string text) {
  for (size_t at; (at = text.find("\x1b[")) != std::string::npos;) {
    text.erase(at, text.find('m', at) + 1 - at);
  }
  return text;
}

// Without lines of progress, which appear where something takes long: the machine's to say. Each
// begins with ESC [K, and the last one is empty.
ProcessResult without_progress(ProcessResult result) {
  for (size_t at; (at = result.out.find("\x1b[K")) != std::string::npos;) {
    size_t end = at + 3;
    const size_t percent = result.out.find(" %", end);
    const size_t newline = result.out.find('\n', end);
    const size_t escape = result.out.find('\x1b', end);
    if (percent < std::min(newline, escape)) end = percent + 2;
    result.out.erase(at, end - at);
  }
  return result;
}

TEST(Terminal, PassesAlternateInColor) {
  const ProcessResult result = without_progress(run_in_terminal(kGenerate));
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(result.out.starts_with("\x1b[2mdef f(x):\n\x1b[0m\x1b[36m")) << result.out;
  EXPECT_NE(result.out.find("\x1b[33m"), std::string::npos);
  EXPECT_NE(result.out.find("\x1b[1m"), std::string::npos);
  EXPECT_TRUE(without_colors(result.out).starts_with("def f(x):\n" + run_orthrus(kGenerate).out));
  EXPECT_NE(result.out.find("\ntokens             12, finish reason length\n"), std::string::npos);
}

TEST(Terminal, ColorCanBeForcedAndForbidden) {
  Arguments never = kGenerate;
  never.insert(never.end(), {"--color", "never"});
  EXPECT_EQ(without_progress(run_in_terminal(never)).out.find('\x1b'), std::string::npos);
  Arguments always = kGenerate;
  always.insert(always.end(), {"--color", "always"});
  EXPECT_NE(run_orthrus(always).out.find("\x1b[36m"), std::string::npos);
}

TEST(Terminal, ControlCharactersCannotDriveIt) {
  const std::string text = "a\x1b[31mb";
  std::string ids = run_orthrus({"tokenize", "-m", kTinyCode, "-p", text}).out;
  const Arguments decode = {"tokenize", "-m", kTinyCode, "--decode", ids};
  EXPECT_EQ(run_orthrus(decode).out, text);
  EXPECT_EQ(run_in_terminal(decode).out, "a\\x1b[31mb\n");
}

TEST(Terminal, NoPromptIsAnErrorThere) {
  const ProcessResult result = run_in_terminal({"generate", "-m", kTinyCode});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.out.find("There is no prompt; give one of --prompt, --file and --prompt-ids"),
            std::string::npos)
      << result.out;
}

TEST(Terminal, ChatPrompts) {
  const ProcessResult result = run_in_terminal({"chat", "-m", kTinyCode, "--chat-format", "qwen3",
                                                "-n", "4", "--no-history", "--color", "always"},
                                               {.input = "hello\n/exit\n"});
  EXPECT_EQ(result.exit_code, 0) << result.out;
  EXPECT_NE(result.out.find("> hello\n"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("\x1b[36m"), std::string::npos) << result.out;
}

}  // namespace
}  // namespace orthrus::test
