// A person types into a chat. What the model got is what /save writes.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/run_orthrus.h"
#include "cli/tmux.h"
#include "support/temporary_directory.h"

namespace orthrus::test {
namespace {

const std::string kPrompt = "\n>";
const std::string kAnswered = " tokens were cached]\n>";

// An empty screen but for the prompt, so that what comes next is not mistaken for what was there.
void clear_screen(Tmux& terminal) {
  terminal.press("C-l");
  terminal.wait([&] { return terminal.screen() == ">"; }, "prompt alone");
}

void answer(Tmux& terminal) {
  terminal.press("Enter");
  terminal.wait_for_end(kAnswered);
  clear_screen(terminal);
}

void ask(Tmux& terminal, const std::string& line) {
  terminal.type(line);
  answer(terminal);
}

void command(Tmux& terminal, const std::string& line, const std::string& says) {
  terminal.enter(line);
  terminal.wait_for(says);
  terminal.wait_for_end(kPrompt);
  clear_screen(terminal);
}

using Strings = std::vector<std::string>;

class ChatTerminal : public testing::Test {
 protected:
  static Strings arguments(const Strings& more = {}, const std::string& max_tokens = "4") {
    Strings all = {"chat",     "-m",     kTinyCode, "--chat-format", "qwen3", "-n",
                   max_tokens, "--seed", "1"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  Strings environment() const { return {"XDG_STATE_HOME=" + directory_.path().string()}; }

  // The contents of the conversation's messages so far.
  Strings said(Tmux& terminal, const std::string& role = "user") {
    const std::string file = (directory_ / ("saved" + std::to_string(++saved_))).string();
    command(terminal, "/save " + file, "Saved ");
    Strings contents;
    const auto saved = nlohmann::json::parse(std::ifstream(file));
    for (const auto& message : saved["messages"]) {
      if (message["role"] == role) contents.push_back(message["content"]);
    }
    return contents;
  }

  TemporaryDirectory directory_;
  int saved_ = 0;
};

TEST_F(ChatTerminal, LinesAreEdited) {
  Tmux terminal(arguments(), environment());
  terminal.wait_for("tiny-code, chat format qwen3, context 2048, greedy\n");
  terminal.wait_for_end(kPrompt);
  terminal.type("ho");
  terminal.press("Left");
  terminal.type("ell");
  terminal.press("End");
  terminal.type("x");
  terminal.press("BSpace");
  terminal.wait_for_end("> hello");
  answer(terminal);
  terminal.type("b d");
  terminal.press("C-a");
  terminal.type("a ");
  terminal.press("C-e");
  terminal.type(" e f");
  terminal.press("C-w");
  for (int i = 0; i < 4; ++i) terminal.press("Left");
  terminal.press("C-k");
  terminal.type("c");
  terminal.wait_for_end("> a b c");
  answer(terminal);
  terminal.type("all of it");
  terminal.press("C-u");
  terminal.type("x");
  terminal.press("Home");
  terminal.press("DC");
  terminal.type("y");
  terminal.wait_for_end("> y");
  answer(terminal);
  EXPECT_EQ(said(terminal), (Strings{"hello", "a b c", "y"}));
}

TEST_F(ChatTerminal, CharactersOfOtherLanguages) {
  Tmux terminal(arguments(), environment());
  terminal.wait_for_end(kPrompt);
  terminal.type("héllo 中文字 😀 x");
  for (int i = 0; i < 5; ++i) terminal.press("Left");
  terminal.press("BSpace");
  terminal.type("国");
  terminal.wait_for_end("> héllo 中国字 😀 x");
  answer(terminal);
  // "e" and a combining acute accent, which is no column.
  terminal.type("e\u0301tat");
  terminal.press("Left");
  terminal.type("a");
  answer(terminal);
  EXPECT_EQ(said(terminal), (Strings{"héllo 中国字 😀 x", "e\u0301taat"}));
}

TEST_F(ChatTerminal, ALineHasNoLimit) {
  std::string line;
  for (int i = 0; i < 1100; ++i) line += fmt::format("w{} ", i);
  line += "end";
  ASSERT_GT(line.size(), 4096u);
  Tmux terminal(arguments(), environment());  // on which it does not fit
  terminal.wait_for_end(kPrompt);
  for (size_t at = 0; at < line.size(); at += 500) terminal.type(line.substr(at, 500));
  terminal.wait_for_end(" w1099 end");
  terminal.press("Enter");
  terminal.wait_for("has no room for a reply");
  terminal.wait_for_end(kPrompt);
  terminal.press("Up");
  terminal.wait_for_end(" w1099 end");
  terminal.press("C-u");
  clear_screen(terminal);
  // Pasted, a mark stands for it, also when it comes back.
  std::string shorter;
  for (int i = 0; i < 700; ++i) shorter += "return ";
  shorter += "end";
  terminal.type("Here: ");
  terminal.paste(shorter);
  terminal.wait_for_end("> Here: [text 1: 1 line, 4.8 KiB]");
  answer(terminal);
  terminal.press("Up");
  terminal.wait_for_end("> Here: [text 1: 1 line, 4.8 KiB]");
  terminal.type("!");
  answer(terminal);
  EXPECT_EQ(said(terminal), (Strings{"Here: " + shorter, "Here: " + shorter + "!"}));
}

TEST_F(ChatTerminal, APasteOfSeveralLinesIsOneMessage) {
  Tmux terminal(arguments(), environment());
  terminal.wait_for_end(kPrompt);
  terminal.type("look: ");
  terminal.paste("one\n/quit\n\tthree\n");
  terminal.wait_for_end("> look: one\n/quit\n        three");
  terminal.type("done");
  terminal.wait_for_end("\n        three\ndone");
  answer(terminal);
  EXPECT_EQ(said(terminal), Strings{"look: one\n/quit\n\tthree\ndone"});
}

TEST_F(ChatTerminal, QuotesOpenAndCloseAMessage) {
  Tmux terminal(arguments(), environment());
  terminal.wait_for_end(kPrompt);
  terminal.enter("\"\"\"first");
  terminal.wait_for_end("\n...");
  terminal.enter("/quit");
  terminal.wait_for_end("/quit\n...");
  terminal.press("Enter");
  terminal.wait_for_end("...\n...");
  ask(terminal, "last\"\"\"");
  terminal.enter("\"\"\"left");
  terminal.wait_for_end("\n...");
  terminal.press("C-c");
  terminal.wait_for_end("... ^C\n>");
  EXPECT_EQ(said(terminal), Strings{"first\n/quit\n\nlast"});
}

TEST_F(ChatTerminal, InterruptClearsALineAndAsksAtAnEmptyPrompt) {
  Tmux terminal(arguments(), environment());
  terminal.wait_for_end(kPrompt);
  terminal.type("no message");
  terminal.press("C-c");
  terminal.wait_for_end("> no message^C\n>");
  terminal.press("C-c");
  terminal.wait_for_end("Ctrl-C once more, or Ctrl-D, ends the chat.\n>");
  ask(terminal, "hi");
  EXPECT_EQ(said(terminal), Strings{"hi"});
  terminal.press("C-c");
  terminal.wait_for_end("ends the chat.\n>");
  terminal.press("C-c");
  EXPECT_EQ(terminal.exit_code(), 130);
}

TEST_F(ChatTerminal, InterruptEndsAReplyWhichStays) {
  Tmux terminal(arguments({"--mode", "ar", "--threads", "1"}, "1900"), environment());
  terminal.wait_for_end(kPrompt);
  clear_screen(terminal);
  terminal.enter("def f(x):");
  const std::string question = "> def f(x):\n";
  terminal.wait([&] { return terminal.screen().size() > question.size(); }, "reply");
  terminal.press("C-c");
  terminal.wait_for("[interrupted;");
  terminal.wait_for_end(kAnswered);
  const Strings replies = said(terminal, "assistant");
  ASSERT_EQ(replies.size(), 1u);
  EXPECT_NE(replies[0], "");
  terminal.press("C-d");
  EXPECT_EQ(terminal.exit_code(), 0);
}

TEST_F(ChatTerminal, WhatIsTypedDuringAReplyWaits) {
  Tmux terminal(arguments({"--mode", "ar", "--threads", "1"}, "300"), environment());
  terminal.wait_for_end(kPrompt);
  terminal.enter("def f(x):");
  terminal.enter("second");
  terminal.wait_for("> second\n");
  terminal.wait_for_end(kAnswered);
  EXPECT_EQ(said(terminal), (Strings{"def f(x):", "second"}));
}

TEST_F(ChatTerminal, ResizeDrawsTheLineAgain) {
  Tmux terminal(arguments(), environment());
  terminal.wait_for_end(kPrompt);
  const std::string line =
      "the quick brown fox jumps over the lazy dog and runs into the deep dark forest";
  terminal.type(line);
  terminal.wait_for_rows("> " + line);
  terminal.resize({40, 10});
  terminal.wait_for_rows(
      "\n> the quick brown fox jumps over the laz\ny dog and runs into the deep dark forest");
  terminal.type(" X");
  terminal.press("C-a");
  terminal.type("Y");
  terminal.wait_for_rows(
      "\n> Ythe quick brown fox jumps over the la\nzy dog and runs into the deep dark fores\nt X");
  terminal.press("C-e");
  terminal.resize({100, 30});
  terminal.wait_for_rows("\n> Y" + line + " X");
  terminal.type("!");
  terminal.wait_for_rows("\n> Y" + line + " X!");
  answer(terminal);
  EXPECT_EQ(said(terminal), Strings{"Y" + line + " X!"});
}

TEST_F(ChatTerminal, HistoryIsThereInTheNextChat) {
  {
    Tmux terminal(arguments(), environment());
    terminal.wait_for_end(kPrompt);
    ask(terminal, "remember me");
    terminal.paste("two\nlines");
    terminal.wait_for_end("two\nlines");
    answer(terminal);
    terminal.enter("/bye");
    EXPECT_EQ(terminal.exit_code(), 0);
  }
  const std::filesystem::path file = directory_ / "orthrus" / "history";
  EXPECT_EQ(std::filesystem::status(file).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  Tmux terminal(arguments(), environment());
  terminal.wait_for_end(kPrompt);
  terminal.press("Up");
  terminal.wait_for_end("> /bye");
  terminal.press("Up");
  terminal.wait_for_end("> two\nlines");
  terminal.press("C-c");
  terminal.wait_for_end("lines^C\n>");
  terminal.press("C-r");
  terminal.type("remem");
  terminal.wait_for("> remember me");
  answer(terminal);
  EXPECT_EQ(said(terminal), Strings{"remember me"});
}

TEST_F(ChatTerminal, WhereLinesAreNotEditedCtrlCEndsTheProcess) {
  const std::string log = (directory_ / "log").string();
  Strings words = environment();  // env takes a command after it
  words.insert(words.end(), {"sh", "-c", "exec \"$0\" \"$@\" 2>'" + log + "'"});
  Tmux terminal(arguments(), words);
  terminal.enter("hi");
  const auto answered = [&] {
    std::stringstream text;
    text << std::ifstream(log).rdbuf();
    return text.str().ends_with(" tokens were cached]\n");
  };
  terminal.wait(answered, "reply");
  terminal.press("C-c");
  EXPECT_EQ(terminal.exit_code(), 130);
}

TEST_F(ChatTerminal, NoHistoryIsNeitherReadNorWritten) {
  Tmux terminal(arguments({"--no-history"}), environment());
  terminal.wait_for_end(kPrompt);
  ask(terminal, "hi");
  terminal.press("C-d");
  EXPECT_EQ(terminal.exit_code(), 0);
  EXPECT_FALSE(std::filesystem::exists(directory_ / "orthrus"));
}

TEST_F(ChatTerminal, Commands) {
  std::ofstream(directory_ / "a file.txt") << "file's\ntext\n";
  Tmux terminal(arguments(), environment());
  terminal.wait_for_end(kPrompt);
  command(terminal, "/retry", "There is no message to answer again.");
  terminal.enter("/read '" + (directory_ / "a file.txt").string() + "' What is it?");
  terminal.wait_for("[cut off at 4 tokens (--max-tokens);");
  terminal.wait_for_end(kAnswered);
  EXPECT_EQ(said(terminal), Strings{"file's\ntext\n\nWhat is it?"});
  command(terminal, "/SET temperature 0.7", "temperature        0.7\n");
  command(terminal, "/retry", "Answering again, with seed 2.");
  command(terminal, "/set temperature 101", "is \"101\"; valid is a number from 0 to 100.");
  command(terminal, "/set repetition-penalty 1.5", "repetition-penalty 1.5\n");
  command(terminal, "/set block_size 99", "valid is 2 to 16");
  command(terminal, "/sytem x", "\"/sytem\" is not a command; did you mean /system?");
  command(terminal, "/read /dev/tty", "/dev/tty is not a regular file.");
  command(terminal, "/load /nowhere/x", "Cannot read /nowhere/x: No such file or directory.");
  command(terminal, "/system Be brief.", "The system message is set.");
  ask(terminal, "/no_think");
  EXPECT_EQ(said(terminal, "system"), Strings{"Be brief."});
  EXPECT_EQ(said(terminal), (Strings{"file's\ntext\n\nWhat is it?", "/no_think"}));
  command(terminal, "/clear", "starts over.");
  command(terminal, "/load " + (directory_ / "saved1").string(), "Loaded 2 messages.");
  command(terminal, "/stats", "All replies: 3\n");
  terminal.enter("/quit");
  EXPECT_EQ(terminal.exit_code(), 0);
}

}  // namespace
}  // namespace orthrus::test
