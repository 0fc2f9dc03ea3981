#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "server/output/from_prompt.h"
#include "server/output/parser.h"

namespace orthrus::server {
namespace {

using Kind = Delta::Kind;

OutputOptions with_tools() {
  OutputOptions options;
  options.tools = true;
  return options;
}

OutputOptions with_untagged() {
  OutputOptions options = with_tools();
  options.untagged = {"f", "get_weather"};
  return options;
}

OutputOptions thinking(bool open) {
  OutputOptions options = with_tools();
  options.reasoning = true;
  options.thinking_open = open;
  return options;
}

OutputMessage parse(const OutputOptions& options, const std::string& text, size_t piece = 0) {
  OutputParser parser(options);
  OutputMessage message;
  for (size_t i = 0; i < text.size(); i += piece == 0 ? text.size() : piece) {
    message.add(parser.put(std::string_view(text).substr(i, piece == 0 ? text.npos : piece)));
  }
  message.add(parser.finish());
  EXPECT_EQ(parser.calls(), static_cast<int>(message.calls.size()));
  return message;
}

// Whole and in pieces of every small size.
OutputMessage parsed(const OutputOptions& options, const std::string& text) {
  OutputMessage message = parse(options, text);
  for (size_t piece = 1; piece < 8; ++piece) {
    EXPECT_EQ(parse(options, text, piece), message) << piece << ": " << text;
  }
  return message;
}

OutputMessage message(const std::string& content, std::vector<OutputCall> calls = {}) {
  for (size_t i = 0; i < calls.size(); ++i) calls[i].id = "call_" + std::to_string(i);
  return {"", content, std::move(calls)};
}

std::string call(const std::string& object) {
  return "<tool_call>\n" + object + "\n</tool_call>";
}

TEST(OutputParser, PlainTextStaysAsItIs) {
  for (const std::string text : {"", "a", "\n\na\n\n", "<think>a</think>b", "a < b <tool",
                                 "{\"name\": \"f\"}", "\xff<\xc3"}) {
    EXPECT_EQ(parsed(OutputOptions{}, text), message(text));
    EXPECT_EQ(parsed(with_tools(), text), message(text));
  }
  const std::string text = call(R"({"name": "f", "arguments": {}})") + "x";
  EXPECT_EQ(parsed(OutputOptions{}, text), message(text));
}

TEST(OutputParser, Calls) {
  const std::string arguments =
      R"({"city": "}{\"\\ \u00e9 Zürich", "n": [1, {"x": null}], "e": -1.5e+7})";
  EXPECT_EQ(
      parsed(with_tools(), call(R"({"name": "get_weather", "arguments": )" + arguments + "}")),
      message("", {{"", "get_weather", arguments}}));
  // Several, with text around them, of which the template's newlines are none.
  EXPECT_EQ(
      parsed(with_tools(), "Let me see.\n" + call(R"({"name": "f", "arguments": {}})") + "\n" +
                               call(R"({"name":"g","arguments":{"a":1}})") + "\nDone.\n"),
      message("Let me see.\nDone.\n", {{"", "f", "{}"}, {"", "g", R"({"a":1})"}}));
  EXPECT_EQ(parsed(with_tools(), "\n\n" + call(R"({"name": "f", "arguments": {}})") + "\n"),
            message("", {{"", "f", "{}"}}));
  EXPECT_EQ(parsed(with_tools(), "a\n\n" + call(R"({"name": "f", "arguments": {}})")),
            message("a\n", {{"", "f", "{}"}}));
}

TEST(OutputParser, KeysInAnyOrderAndOthersBesides) {
  EXPECT_EQ(parsed(with_tools(), call(R"({"arguments": {"a": 1}, "name": "f"})")),
            message("", {{"", "f", R"({"a": 1})"}}));
  EXPECT_EQ(parsed(with_tools(),
                   call(R"({"id": 12, "type": ["x"], "name": "f", "n": 1.5 , "arguments": {} })")),
            message("", {{"", "f", "{}"}}));
  EXPECT_EQ(parsed(with_tools(), call(R"({"na\u006de": "f\n\"", "arguments": {}})")),
            message("", {{"", "f\n\"", "{}"}}));
}

TEST(OutputParser, ArgumentsInOtherForms) {
  EXPECT_EQ(parsed(with_tools(), call(R"({"name": "f", "arguments": " {\"a\": \"\\n\"} "})")),
            message("", {{"", "f", R"({"a": "\n"})"}}));
  EXPECT_EQ(parsed(with_tools(), call(R"({"name": "f", "arguments": null})")),
            message("", {{"", "f", "{}"}}));
  EXPECT_EQ(parsed(with_tools(), call(R"({"name": "f"})")), message("", {{"", "f", "{}"}}));
  EXPECT_EQ(parsed(with_tools(), call("{\"name\": \"f\", \"arguments\": {\"a\": \"1\n\t\x01\"}}")),
            message("", {{"", "f", R"({"a": "1\n\t\u0001"})"}}));
}

TEST(OutputParser, EndsThatAreMissingOrTooMany) {
  const OutputMessage one = message("", {{"", "f", R"({"a": 1})"}});
  const std::string begin = R"(<tool_call>{"name": "f", "arguments": {"a": 1})";
  for (const std::string end : {"", "}", "}\n", "}</tool", "\n</tool_call>", "</tool_call>",
                                "}}\n</tool_call>", "} }}</tool_call>\n"}) {
    EXPECT_EQ(parsed(with_tools(), begin + end), one) << end;
  }
  EXPECT_EQ(
      parsed(with_tools(), begin + "}\n" + R"({"name": "g", "arguments": {}})" + "\n</tool_call>b"),
      message("b", {{"", "f", R"({"a": 1})"}, {"", "g", "{}"}}));
  EXPECT_EQ(parsed(with_tools(), begin + "}\nb"), message("\nb", {{"", "f", R"({"a": 1})"}}));
}

TEST(OutputParser, WhatIsNoCallIsContent) {
  for (const std::string object :
       {"", "x", "[]", "{}", "7", R"({"name": "f", "arguments": [1]})", R"({"name": 7})",
        R"({"name": "", "arguments": {}})", R"({"name": "f", "arguments": "x"})",
        R"({"name": "f", "arguments": "{} {}"})", R"({"name": "f", "arguments": {'a': 1}})",
        R"({"arguments": {}})", R"({"name": "f" "arguments": {}})", R"({name: "f"})",
        R"({"name": "\ud800", "arguments": {}})", R"({"name": "\x", "arguments": {}})"}) {
    EXPECT_EQ(parsed(with_tools(), "a\n" + call(object) + "\nb"),
              message("a\n" + call(object) + "\nb"));
  }
  // A call after one that is none.
  const std::string good = call(R"({"name": "f", "arguments": {}})");
  EXPECT_EQ(parsed(with_tools(), "<tool_call>" + good), message("<tool_call>", {{"", "f", "{}"}}));
  EXPECT_EQ(parsed(with_tools(), "<<tool_call<tool_call>{\"name\"" + good),
            message("<<tool_call<tool_call>{\"name\"", {{"", "f", "{}"}}));
}

TEST(OutputParser, CallsThatAreCutOff) {
  const std::string text = "a\n" + call(R"({"name": "f", "arguments": {"a": "b"}})");
  const size_t begun = text.find(R"("a":)") + 1;
  const std::string arguments = R"({"a": "b"})";
  for (size_t size = 0; size < text.size(); ++size) {
    const OutputMessage cut = parsed(with_tools(), text.substr(0, size));
    if (size < begun) {
      EXPECT_EQ(cut, message(text.substr(0, size)));
    } else {
      const size_t written = size - text.find(arguments);
      EXPECT_EQ(cut, message("a", {{"", "f", arguments.substr(0, written)}}));
    }
  }
}

TEST(OutputParser, ArgumentsThatGoWrongReachToTheTag) {
  EXPECT_EQ(parsed(with_tools(), call(R"({"name": "f", "arguments": {"a": b}})") + "\nc"),
            message("\nc", {{"", "f", "{\"a\": b}}\n"}}));
  const std::string deep(200, '[');
  EXPECT_EQ(parsed(with_tools(), call(R"({"name": "f", "arguments": {"a": )" + deep)),
            message("", {{"", "f", "{\"a\": " + deep + "\n"}}));
}

TEST(OutputParser, OnlyOneCallWhereTheyAreNotParallel) {
  OutputOptions options = with_tools();
  options.parallel_calls = false;
  const std::string one = call(R"({"name": "f", "arguments": {}})");
  EXPECT_EQ(parsed(options, "a\n" + one + "\n" + one + "b"), message("a", {{"", "f", "{}"}}));
}

TEST(OutputParser, CallsInCodeBlocksAreCalls) {
  const std::string one = call(R"({"name": "f", "arguments": {}})");
  EXPECT_EQ(parsed(with_tools(), "```xml\n" + one + "\n```"),
            message("```xml\n```", {{"", "f", "{}"}}));
}

TEST(OutputParser, CallsWithoutTags) {
  const std::string object = R"({"name": "f", "arguments": {"a": 1}})";
  const OutputMessage one = message("", {{"", "f", R"({"a": 1})"}});
  for (const std::string& text :
       {object, "\n" + object, "```json\n" + object + "\n```", "```\n" + object + "```\n",
        std::string("```json\n{\n  \"name\": \"f\",\n  \"arguments\": {\"a\": 1}\n}\n```"),
        call(object)}) {
    EXPECT_EQ(parsed(with_untagged(), text), one) << text;
  }
  EXPECT_EQ(parsed(with_untagged(), "I do:\n" + object + "\n" + object + "\nDone"),
            message("I do:\nDone", {{"", "f", R"({"a": 1})"}, {"", "f", R"({"a": 1})"}}));
  // Of other tools, without arguments, not at the beginning of a line, or in other code.
  for (const std::string text :
       {R"({"name": "g", "arguments": {"a": 1}})", R"({"name": "f"})",
        R"(x {"name": "f", "arguments": {}})", R"({"a": {"name": "f", "arguments": {}}})",
        "```json\n{\"name\": \"g\", \"arguments\": {}}\n```", "```python\nx = {}\n```",
        "```json\n[1]\n```\n", "{\n  \"a\": 1\n}\n\n", "``", "```json\n"}) {
    EXPECT_EQ(parsed(with_untagged(), text), message(text));
  }
}

TEST(OutputParser, Thinking) {
  const OutputMessage both{"r\n\ns", "c\n", {}};
  for (const bool open : {false, true}) {
    for (const std::string text : {"<think>\nr\n\ns\n</think>\n\nc\n", "<think>r\n\ns</think>c\n",
                                   "\n <think>\n\nr\n\ns\n\n</think>\n\n\nc\n"}) {
      EXPECT_EQ(parsed(thinking(open), text), both) << open << text;
    }
    EXPECT_EQ(parsed(thinking(open), "<think>\n\n</think>\n\nc"), message("c"));
    EXPECT_EQ(parsed(thinking(open), "<think>r</thi"), (OutputMessage{"r</thi", "", {}}));
    EXPECT_EQ(parsed(thinking(open), "<think>r\n"), (OutputMessage{"r", "", {}}));
    // No call in the thinking, and no thinking in the content.
    const std::string one = call(R"({"name": "f", "arguments": {}})");
    EXPECT_EQ(parsed(thinking(open), "<think>" + one + "</think><think>a</think>" + one),
              (OutputMessage{one, "<think>a</think>", {{"call_0", "f", "{}"}}}));
  }
  EXPECT_EQ(parsed(thinking(true), "r\n\ns\n</think>\n\nc\n"), both);
  EXPECT_EQ(parsed(thinking(true), "<thi"), (OutputMessage{"<thi", "", {}}));
  EXPECT_EQ(parsed(thinking(false), "<thi"), message("<thi"));
  EXPECT_EQ(parsed(thinking(false), "\n a<think>"), message("\n a<think>"));
}

TEST(OutputParser, TagsNeverShow) {
  OutputParser parser(with_tools());
  EXPECT_EQ(parser.put("a\n<tool"), (std::vector<Delta>{{.text = "a"}}));
  EXPECT_TRUE(parser.put("_call>\n{\"name\": \"f\", \"argum").empty());
  EXPECT_TRUE(parser.put("ents\": {").empty());
  EXPECT_EQ(parser.put("\"a\": "),
            (std::vector<Delta>{{.kind = Kind::kCall, .text = "f", .id = "call_0"},
                                {.kind = Kind::kArguments, .text = "{\"a\": "}}));
  EXPECT_EQ(parser.put("1}}\n</tool_"),
            (std::vector<Delta>{{.kind = Kind::kArguments, .text = "1}"}}));
  EXPECT_TRUE(parser.put("call>").empty());
  EXPECT_TRUE(parser.finish().empty());
}

// Texts made of what matters to the parser, cut at random.
TEST(OutputParser, CutsDoNotMatter) {
  const std::vector<std::string> parts = {"<think>",
                                          "</think>",
                                          "<tool_call>",
                                          "</tool_call>",
                                          "\n",
                                          "\n\n",
                                          " ",
                                          "{",
                                          "}",
                                          "[",
                                          "]",
                                          "\"",
                                          "\\",
                                          ":",
                                          ",",
                                          "name",
                                          "arguments",
                                          "\"name\": \"f\"",
                                          "\"arguments\": {",
                                          "\"a\": 1",
                                          "{\"name\": \"f\", \"arguments\": {\"a\": \"b\"}}",
                                          "```json\n",
                                          "```",
                                          "text",
                                          "<",
                                          "1.5e3",
                                          "null",
                                          "\"{}\"",
                                          "é",
                                          "\x01"};
  std::mt19937 random(13);
  const auto below = [&](size_t n) {
    return std::uniform_int_distribution<size_t>(0, n - 1)(random);
  };
  int calls = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (size_t i = below(24); i-- > 0;) text += parts[below(parts.size())];
    OutputOptions options = round % 2 == 0 ? with_untagged() : with_tools();
    options.reasoning = round % 3 == 0;
    options.thinking_open = options.reasoning && round % 5 == 0;
    options.parallel_calls = round % 7 != 0;
    const OutputMessage whole = parse(options, text);
    OutputParser parser(options);
    OutputMessage joined;
    for (size_t i = 0; i < text.size();) {
      const size_t size = 1 + below(6);
      const auto deltas = parser.put(std::string_view(text).substr(i, size));
      for (const Delta& delta : deltas) EXPECT_FALSE(delta.text.empty());
      joined.add(deltas);
      i += size;
    }
    joined.add(parser.finish());
    ASSERT_EQ(joined, whole) << text;
    calls += static_cast<int>(whole.calls.size());
    size_t out = whole.reasoning.size() + whole.content.size();
    for (const OutputCall& one : whole.calls) out += one.arguments.size();
    ASSERT_LE(out, 6 * text.size() + 2 * whole.calls.size()) << text;  // \x01 is \u0001
  }
  EXPECT_GT(calls, 500);
}

// Linear in the text: these would take minutes otherwise.
TEST(OutputParser, LongTextsTakeNoLonger) {
  const size_t size = 1 << 20;
  for (const std::string part :
       {"\n", " ", "<tool_call>", "<tool_call>{\"arguments\":{\"<tool_call>{\":", "```json\n",
        "{\"name\": \"f\", \"arguments\": \"{", "}", "<think>"}) {
    std::string text;
    while (text.size() < size) text += part;
    for (const std::string& whole : {text, R"(<tool_call>{"name":"f","arguments":{}})" + text}) {
      OutputParser parser(with_untagged());
      OutputMessage message;
      for (size_t i = 0; i < whole.size(); i += 3) {
        message.add(parser.put(std::string_view(whole).substr(i, 3)));
      }
      message.add(parser.finish());
      EXPECT_LE(message.content.size(), whole.size());
      OutputParser thinker(thinking(true));
      thinker.put(whole);
      thinker.finish();
    }
  }
}

TEST(OutputOptions, ComeFromThePrompt) {
  const std::vector<ChatMessage> chat = {{"user", "<think>", {}, {}}};
  const auto options_of = [&](ChatFormat format, bool enable_thinking) {
    ChatOptions options;
    options.enable_thinking = enable_thinking;
    return output_options(format, render_chat(format, chat, options), {}, "call_");
  };
  EXPECT_FALSE(options_of(ChatFormat::kQwen25, true).reasoning);
  EXPECT_FALSE(options_of(ChatFormat::kQwen3Instruct2507, true).reasoning);
  EXPECT_TRUE(options_of(ChatFormat::kQwen3, true).reasoning);
  EXPECT_FALSE(options_of(ChatFormat::kQwen3, true).thinking_open);
  EXPECT_FALSE(options_of(ChatFormat::kQwen3, false).reasoning);
  EXPECT_TRUE(options_of(ChatFormat::kQwen3Thinking2507, false).thinking_open);
  const std::string turn = "<|im_start|>assistant\n";
  EXPECT_TRUE(output_options(ChatFormat::kQwen3, turn + "<think>\na", {}, "").thinking_open);
  EXPECT_FALSE(output_options(ChatFormat::kQwen3, turn + "a", {}, "").reasoning);
  EXPECT_FALSE(output_options(ChatFormat::kQwen3, turn, {}, "").tools);
  EXPECT_TRUE(output_options(ChatFormat::kQwen3, turn, {"f"}, "").tools);
  EXPECT_TRUE(output_options(ChatFormat::kQwen3, turn, {"f"}, "").untagged.empty());
  EXPECT_EQ(output_options(ChatFormat::kQwen25, turn, {"f"}, "").untagged.size(), 1u);
}

TEST(ForcedCall, IsWhatTheModelWouldWrite) {
  const std::string turn = "<|im_start|>assistant\n";
  EXPECT_EQ(forced_call(ChatFormat::kQwen25, turn, ""), "<tool_call>\n{\"name\": \"");
  EXPECT_EQ(forced_call(ChatFormat::kQwen25, turn, "f"),
            "<tool_call>\n{\"name\": \"f\", \"arguments\":");
  EXPECT_EQ(forced_call(ChatFormat::kQwen3, turn, ""),
            "<think>\n\n</think>\n\n<tool_call>\n{\"name\": \"");
  EXPECT_EQ(forced_call(ChatFormat::kQwen3Thinking2507, turn + "<think>\n", ""),
            "\n</think>\n\n<tool_call>\n{\"name\": \"");
  const std::string prompt = turn + "<think>\n\n</think>\n\n";
  EXPECT_EQ(forced_call(ChatFormat::kQwen3, prompt, ""), "<tool_call>\n{\"name\": \"");
  for (const std::string& begin : {turn, turn + "<think>\n", prompt}) {
    OutputParser parser(output_options(ChatFormat::kQwen3, begin, {"f"}, "id_"));
    OutputMessage message;
    message.add(parser.put(forced_call(ChatFormat::kQwen3, begin, "f")));
    message.add(parser.put(" {}}\n</tool_call>"));
    message.add(parser.finish());
    EXPECT_EQ(message, (OutputMessage{"", "", {{"id_0", "f", "{}"}}}));
  }
}

}  // namespace
}  // namespace orthrus::server
