// The parts of a chat that need neither a model nor a terminal.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <deque>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/chat/chat_commands.h"
#include "cli/chat/conversation_file.h"
#include "cli/chat/history_file.h"
#include "cli/chat/marks.h"
#include "cli/chat/message_reader.h"
#include "cli/chat/paste.h"
#include "cli/chat/terminal_input.h"
#include "cli/utf8.h"
#include "cli/whole_file.h"
#include "orthrus/error.h"
#include "support/temporary_directory.h"

namespace orthrus::cli {
namespace {

using test::TemporaryDirectory;
using End = TypedLine::End;

// What the call throws says.
template <typename Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::string contents(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

TEST(Utf8, CharactersAndWhatIsNone) {
  for (const char32_t c : {U'a', U'\x80', U'é', U'\x7ff', U'\x800', U'中', U'\xffff', U'😀',
                           static_cast<char32_t>(0x10ffff)}) {
    const std::string text = to_utf8(c) + "x";
    std::string_view rest = text;
    EXPECT_EQ(take_character(rest), c);
    EXPECT_EQ(rest, "x");
  }
  for (const char* text : {"\x80", "\xc0\x80", "\xc3", "\xc3(", "\xe0\x80\x80", "\xed\xa0\x80",
                           "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff"}) {
    std::string_view rest = text;
    const size_t size = rest.size();
    EXPECT_EQ(take_character(rest), std::nullopt) << size;
    EXPECT_EQ(rest.size(), size - 1);
  }
  check_utf8("--system", "héllo");
  EXPECT_EQ(error_of([] { check_utf8("--system", "hé\xff"); }),
            "--system is not valid UTF-8: no character starts at byte 3 (0xff).");
}

TEST(ChatCommands, AreAWordInAnyCaseWithItsArgument) {
  const auto read = parse_chat_command("  /READ a b \n");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->name, ChatCommand::Name::kRead);
  EXPECT_EQ(read->argument, "a b");
  for (const char* quit : {"/quit", "/bye", "/exit", "/Quit"}) {
    ASSERT_TRUE(parse_chat_command(quit));
    EXPECT_EQ(parse_chat_command(quit)->name, ChatCommand::Name::kQuit);
  }
}

TEST(ChatCommands, PathsSwitchesAndSeveralLinesAreMessages) {
  for (const char* text : {"hello", "", "/", "/etc/hosts", "/etc/hosts what is it", "/think",
                           "/no_think", "/no_think be quick", "/NO_THINK", "// a comment",
                           "/clear\nthis", "a /clear", "/2 is a half"}) {
    EXPECT_EQ(parse_chat_command(text), std::nullopt) << text;
  }
}

TEST(ChatCommands, UnknownOnesAreNamedAndTheNearestToo) {
  const std::string error = error_of([] { parse_chat_command("/clera"); });
  EXPECT_NE(error.find("\"/clera\" is not a command; did you mean /clear?"), std::string::npos)
      << error;
  EXPECT_NE(error_of([] { parse_chat_command("/xyzzyx"); }).find("is not a command. /help"),
            std::string::npos);
}

TEST(ChatCommands, OnesThatStandAloneSayThatTheyTakeNothing) {
  for (const std::string word : {"/help", "/clear", "/retry", "/stats", "/quit", "/bye", "/exit"}) {
    EXPECT_TRUE(parse_chat_command(word + "  ")) << word;
    EXPECT_NE(error_of([&] {
                parse_chat_command(word + " now");
              }).find(word + " stands alone, without \"now\";"),
              std::string::npos)
        << word;
  }
}

TEST(ChatCommands, FileNamesMayBeQuoted) {
  using Pair = std::pair<std::string, std::string>;
  EXPECT_EQ(take_file_name("a.txt"), Pair("a.txt", ""));
  EXPECT_EQ(take_file_name("  a.txt   what is it? "), Pair("a.txt", "what is it?"));
  EXPECT_EQ(take_file_name("'a b.txt' x"), Pair("a b.txt", "x"));
  EXPECT_EQ(take_file_name("\"it's\""), Pair("it's", ""));
  EXPECT_EQ(take_file_name("a\\ b.txt x"), Pair("a b.txt", "x"));
  EXPECT_EQ(take_file_name(""), Pair("", ""));
  setenv("HOME", "/home/me", 1);
  EXPECT_EQ(take_file_name("~/x"), Pair("/home/me/x", ""));
}

TypedMessage read_lines(std::deque<TypedLine> lines) {
  return read_message([&lines](const std::string&) {
    const TypedLine line = lines.front();
    lines.pop_front();
    return line;
  });
}

TEST(MessageReader, ALineOrWhatStandsBetweenQuotes) {
  const auto entered = [](std::vector<std::string> texts) {
    std::deque<TypedLine> lines;
    for (std::string& text : texts) lines.push_back({End::kEntered, std::move(text)});
    return read_lines(std::move(lines));
  };
  EXPECT_EQ(entered({"hello"}).text, "hello");
  EXPECT_FALSE(entered({"hello"}).quoted);
  EXPECT_EQ(entered({"\"\"\"", " a", "", "b", "\"\"\""}).text, " a\n\nb");
  EXPECT_EQ(entered({"\"\"\"", "", "b", "\"\"\""}).text, "\nb");
  EXPECT_EQ(entered({"\"\"\"/quit\"\"\""}).text, "/quit");
  EXPECT_TRUE(entered({"\"\"\"/quit\"\"\""}).quoted);
  EXPECT_EQ(entered({"  \"\"\"a", "b\"\"\"  "}).text, "a\nb");
  EXPECT_EQ(entered({"say \"\"\"hi\"\"\""}).text, "say \"\"\"hi\"\"\"");
  EXPECT_EQ(entered({"\"\"\"a\nb", "c\"\"\""}).text, "a\nb\nc");
}

TEST(MessageReader, WhatEndsALineEndsTheMessage) {
  EXPECT_EQ(read_lines({{End::kInterrupted, "half"}}).end, End::kInterrupted);
  const TypedMessage message =
      read_lines({{End::kEntered, "\"\"\"a"}, {End::kEndOfInput, ""}, {End::kEntered, "b"}});
  EXPECT_EQ(message.end, End::kEndOfInput);
  EXPECT_TRUE(message.quoted);
}

Paste pasted(const std::string& bytes, const PasteLimits& limits = {}) {
  std::array<int, 2> ends{};
  EXPECT_EQ(pipe(ends.data()), 0);
  EXPECT_EQ(write(ends[1], bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  TerminalInput input(ends[0]);
  Paste paste = read_paste(input, limits);
  close(ends[0]);
  close(ends[1]);
  return paste;
}

TEST(Marks, StandForLongTexts) {
  Marks marks;
  const std::string one = marks.add("a\nb\n"), two = marks.add(std::string(2048, 'x'));
  EXPECT_EQ(one, "[text 1: 2 lines, 4 B]");
  EXPECT_EQ(two, "[text 2: 1 line, 2.0 KiB]");
  EXPECT_EQ(marks.add("a\nb\n"), one);
  EXPECT_EQ(marks.expand("see " + one + two + "[1]" + one.substr(1) + "["),
            "see a\nb\n" + std::string(2048, 'x') + "[1]" + one.substr(1) + "[");
}

TEST(Paste, EndsOfLinesBecomeNewlines) {
  EXPECT_EQ(pasted("a\rb\r\nc\nd\r\r\xc3\xa9\x1b[201~never read").text, "a\nb\nc\nd\n\né");
  EXPECT_EQ(pasted("\x1b[201~").text, "");
  EXPECT_EQ(pasted("\x1b[31mred\x1b[0m\x1b[201~").text, "\x1b[31mred\x1b[0m");
  EXPECT_EQ(pasted("\xff\x1b[201~").text, "\ufffd");
}

TEST(Paste, OneWithoutEndEndsWithAPause) {
  EXPECT_EQ(pasted("half", {.pause = std::chrono::milliseconds(1)}).text, "half");
}

TEST(Paste, OneThatIsTooLongIsLeftOut) {
  const PasteLimits limits = {.bytes = 10, .pause = std::chrono::milliseconds(1)};
  EXPECT_EQ(pasted("0123456789\x1b[201~", limits).text, "0123456789");
  EXPECT_TRUE(pasted("0123456789012345678901234567890123456789\x1b[201~", limits).too_long);
  EXPECT_EQ(pasted("0123456789012345678901234567890123456789\x1b[201~", limits).text, "");
}

TEST(ConversationFile, SavedAndLoadedIsTheSame) {
  const TemporaryDirectory directory;
  std::vector<ChatMessage> messages(3);
  messages[0].role = "system";
  messages[0].content = "Be \"brief\".";
  messages[1].role = "user";
  messages[1].content = "line one\nline two é 😀\x01";
  messages[2].role = "assistant";
  messages[2].content = "<think>\n</think>";
  save_conversation(directory / "chat.json", messages);
  const std::vector<ChatMessage> loaded = load_conversation(directory / "chat.json");
  ASSERT_EQ(loaded.size(), messages.size());
  for (size_t i = 0; i < loaded.size(); ++i) {
    EXPECT_EQ(loaded[i].role, messages[i].role);
    EXPECT_EQ(loaded[i].content, messages[i].content);
  }
}

TEST(ConversationFile, TakesWhatOpenAiTakes) {
  EXPECT_EQ(parse_conversation(R"([{"role":"user","content":"hi","name":null}])", "f")[0].content,
            "hi");
  EXPECT_EQ(parse_conversation(R"({"model":"m","messages":[{"role":"user","content":[
                {"type":"text","text":"a"},{"type":"text","text":"b"}]}]})",
                               "f")[0]
                .content,
            "ab");
}

TEST(ConversationFile, HostileFilesAreRefusedByName) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "f: is not JSON"},
      {"{", "f: is not JSON"},
      {"<html>", "f: is not JSON: byte 1 is wrong"},
      {"7", "f: has no conversation; valid is {\"messages\""},
      {"{}", "f: has no conversation"},
      {"[]", "f: has no messages."},
      {R"(["hi"])", "f: messages[0] is \"hi\"; valid is {\"role\""},
      {R"([{"role":"user"}])", "f: messages[0] is"},
      {R"([{"role":"tool","content":"x"}])", "f: messages[0]: its role is \"tool\"; valid is"},
      {R"([{"role":"user","content":"x"},{"role":"system","content":"x"}])",
       "f: messages[1]: its role is"},
      {R"([{"role":7,"content":"x"}])", "f: messages[0]: its role is \"7\""},
      {R"([{"role":"user","content":1e999}])", "f: has a number that is too large"},
      {R"([{"role":"user","content":7}])", "f: messages[0]: its content is \"7\""},
      {R"([{"role":"user","content":[{"type":"image_url"}]}])", "f: messages[0]: a part"},
      {R"([{"role":"assistant","content":"x","tool_calls":[]}])",
       "f: messages[0] has \"tool_calls\", which"},
      {"[{\"role\":\"user\",\"content\":\"\xff\"}]", "f: is not JSON"},
      {std::string(100000, '['), "f: is nested more than 16 deep."},
  };
  for (const auto& [text, says] : cases) {
    const std::string error = error_of([&, &text = text] { parse_conversation(text, "f"); });
    EXPECT_TRUE(error.starts_with(says)) << text.substr(0, 80) << ": " << error;
  }
}

TEST(WholeFile, ReplacesOrLeavesTheFile) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "old") << "old";
  std::filesystem::create_symlink("old", directory / "link");
  write_whole_file(directory / "link", "new");
  EXPECT_TRUE(std::filesystem::is_symlink(directory / "link"));
  EXPECT_EQ(contents(directory / "old"), "new");
  for (const char* name : {"none/x", "."}) {
    const std::string error = error_of([&] { write_whole_file(directory / name, "x"); });
    EXPECT_TRUE(error.starts_with("Cannot write ")) << error;
  }
  EXPECT_EQ(error_of([] { write_whole_file("/dev/null", "x"); }),
            "Cannot write /dev/null: not a regular file.");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 2);
  // A link to what is not there yet, by way of another one; and links that lead nowhere.
  std::filesystem::create_symlink("new", directory / "next");
  std::filesystem::create_symlink(directory / "next", directory / "first");
  write_whole_file(directory / "first", "made");
  EXPECT_TRUE(std::filesystem::is_symlink(directory / "first"));
  EXPECT_TRUE(std::filesystem::is_symlink(directory / "next"));
  EXPECT_EQ(contents(directory / "new"), "made");
  std::filesystem::create_symlink("loop", directory / "loop");
  const std::string error = error_of([&] { write_whole_file(directory / "loop", "x"); });
  EXPECT_NE(error.find("Too many levels of symbolic links"), std::string::npos) << error;
  EXPECT_TRUE(std::filesystem::is_symlink(directory / "loop"));
}

TEST(TerminalSignals, AreEventsWhileOneLives) {
  TerminalSignals signals;
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGCONT}) {
    std::raise(number);
    EXPECT_EQ(signals.next(), number);
    EXPECT_EQ(signals.next(), 0);
  }
}

TEST(HistoryFile, KeepsTextsOfSeveralLines) {
  const TemporaryDirectory directory;
  const HistoryFile history(directory / "a" / "b" / "history");
  EXPECT_TRUE(history.read().empty());
  const std::vector<std::string> texts = {"one", "two\nlines", "back\\slash\\n", "é\t"};
  for (const std::string& text : texts) history.append(text);
  history.append(std::string(20000, 'x'));  // too long to be kept
  EXPECT_EQ(history.read(), texts);
  EXPECT_EQ(std::filesystem::status(directory / "a" / "b" / "history").permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST(HistoryFile, IsCutWhenItHasGrown) {
  const TemporaryDirectory directory;
  std::ofstream file(directory / "history");
  for (int i = 0; i < 3000; ++i) file << "message " << i << "\n";
  file.close();
  const HistoryFile history(directory / "history");
  const auto texts = history.read();
  ASSERT_EQ(texts.size(), 1000u);
  EXPECT_EQ(texts.back(), "message 2999");
  EXPECT_EQ(history.read(), texts);
  EXPECT_LT(std::filesystem::file_size(directory / "history"), 20000u);
}

TEST(HistoryFile, WhatCannotBeWrittenIsNoFailure) {
  const HistoryFile nowhere("/dev/null/history");
  nowhere.append("x");
  EXPECT_TRUE(nowhere.read().empty());
  const TemporaryDirectory directory;
  const HistoryFile a_directory(directory.path());
  a_directory.append("x");
  EXPECT_TRUE(a_directory.read().empty());
}

}  // namespace
}  // namespace orthrus::cli
