#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "orthrus/chat.h"
#include "support/expect_error.h"

namespace orthrus {
namespace {

using nlohmann::ordered_json;
using test::expect_error;
using Messages = std::vector<ChatMessage>;

ChatMessage system(const std::string& content) {
  return {"system", content, {}, {}};
}
ChatMessage user(const std::string& content) {
  return {"user", content, {}, {}};
}
ChatMessage assistant(const std::string& content) {
  return {"assistant", content, {}, {}};
}
ChatMessage tool(const std::string& content) {
  return {"tool", content, {}, {}};
}

std::string render(const Messages& messages, bool add_generation_prompt = false) {
  ChatOptions options;
  options.add_generation_prompt = add_generation_prompt;
  return render_chat(ChatFormat::kQwen3, messages, options);
}

// The assistant's last message, as it appears.
std::string answer(const ChatMessage& message) {
  const std::string begin = "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n";
  const std::string end = "<|im_end|>\n";
  const std::string prompt = render({user("q"), message});
  EXPECT_EQ(prompt.substr(0, begin.size()), begin);
  EXPECT_TRUE(prompt.ends_with(end));
  return prompt.substr(begin.size(), prompt.size() - begin.size() - end.size());
}

std::vector<ChatMessage> messages_of(const ordered_json& list) {
  Messages messages;
  for (const auto& item : list) {
    ChatMessage& message = messages.emplace_back();
    message.role = item["role"];
    message.content = item["content"];
    if (item.contains("reasoning_content")) {
      message.reasoning_content = item["reasoning_content"].get<std::string>();
    }
    for (const auto& call : item.value("tool_calls", ordered_json::array())) {
      const auto& function = call["function"];
      message.tool_calls.push_back({function["name"], function["arguments"].dump()});
    }
  }
  return messages;
}

std::vector<std::string> tools_of(const ordered_json& chat) {
  std::vector<std::string> tools;
  for (const auto& item : chat.value("tools", ordered_json::array())) tools.push_back(item.dump());
  return tools;
}

ordered_json read_json(const std::string& name) {
  std::ifstream file(std::filesystem::path(ORTHRUS_TEST_DATA) / name);
  return ordered_json::parse(file);
}

// Every format, against what its template gives in the reference implementation.
TEST(ChatTemplate, RendersAsTheTemplates) {
  const std::map<std::string, ChatFormat> formats = {
      {"chatml", ChatFormat::kChatMl},
      {"qwen2", ChatFormat::kQwen2},
      {"qwen2.5", ChatFormat::kQwen25},
      {"qwen3", ChatFormat::kQwen3},
      {"qwen3-revised", ChatFormat::kQwen3},
      {"qwen3-instruct-2507", ChatFormat::kQwen3Instruct2507},
      {"qwen3-thinking-2507", ChatFormat::kQwen3Thinking2507},
  };
  const ordered_json expected = read_json("chat/expected.json");
  ASSERT_EQ(expected["rendered"].size(), 379u);
  for (const auto& item : expected["rendered"]) {
    const ordered_json& chat = expected["chats"][item["chat"].get<std::string>()];
    ChatOptions options;
    options.add_generation_prompt = item.value("add_generation_prompt", true);
    options.continue_final_message = item.value("continue_final_message", false);
    options.enable_thinking = item.value("enable_thinking", true);
    options.tools = tools_of(chat);
    EXPECT_EQ(render_chat(formats.at(item["template"]), messages_of(chat["messages"]), options),
              item["text"].get<std::string>())
        << item["template"] << item["chat"];
  }
}

// Against what the template gives in the reference implementation.
TEST(ChatTemplate, RendersAsQwen3s) {
  const ordered_json expected = read_json("qwen3-tokenizer/expected.json");
  ASSERT_EQ(expected["chat"].size(), 8u);
  for (const auto& chat : expected["chat"]) {
    ChatOptions options;
    options.add_generation_prompt = chat.value("add_generation_prompt", true);
    if (chat.contains("kwargs")) {
      options.enable_thinking = chat["kwargs"].value("enable_thinking", true);
    }
    options.tools = tools_of(chat);
    EXPECT_EQ(render_chat(ChatFormat::kQwen3, messages_of(chat["messages"]), options),
              chat["rendered"].get<std::string>());
  }
}

TEST(ChatTemplate, GenerationPrompt) {
  EXPECT_EQ(render({user("q")}), "<|im_start|>user\nq<|im_end|>\n");
  EXPECT_EQ(render({user("q")}, true), "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n");
  ChatOptions options;
  options.enable_thinking = false;
  EXPECT_EQ(render_chat(ChatFormat::kQwen3, Messages{user("q")}, options),
            "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n");
}

TEST(ChatTemplate, SystemMessagesMayStandAnywhere) {
  EXPECT_EQ(render({system("s")}), "<|im_start|>system\ns<|im_end|>\n");
  EXPECT_EQ(render({system("s"), user("q"), system("t")}),
            "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nq<|im_end|>\n"
            "<|im_start|>system\nt<|im_end|>\n");
  EXPECT_EQ(render({user("q"), system("t")}),
            "<|im_start|>user\nq<|im_end|>\n<|im_start|>system\nt<|im_end|>\n");
}

TEST(ChatTemplate, ThinkingIsTakenOutOfTheContent) {
  EXPECT_EQ(answer(assistant("a")), "<think>\n\n</think>\n\na");
  EXPECT_EQ(answer(assistant("<think>\nr\n</think>\n\na")), "<think>\nr\n</think>\n\na");
  EXPECT_EQ(answer(assistant("r</think>a")), "<think>\nr\n</think>\n\na");
  EXPECT_EQ(answer(assistant("x<think>r\n\n</think>\n\n\na\n")), "<think>\nr\n</think>\n\na\n");
  EXPECT_EQ(answer(assistant("<think>1<think>2</think>3</think>4")), "<think>\n2\n</think>\n\n4");
  EXPECT_EQ(answer(assistant("\n\na")), "<think>\n\n</think>\n\na");
  EXPECT_EQ(answer(assistant("<think>a")), "<think>\n\n</think>\n\n<think>a");
}

TEST(ChatTemplate, ReasoningContentLeavesTheContentAlone) {
  ChatMessage message = assistant("<think>x</think>\na");
  message.reasoning_content = "\n r \n";
  EXPECT_EQ(answer(message), "<think>\n r \n</think>\n\n<think>x</think>\na");
  message.reasoning_content = "";
  EXPECT_EQ(answer(message), "<think>\n\n</think>\n\n<think>x</think>\na");
}

TEST(ChatTemplate, ThinkingIsShownSinceTheLastQuery) {
  const ChatMessage thinking = assistant("<think>r</think>a");
  const std::string shown = "<|im_start|>assistant\n<think>\nr\n</think>\n\na<|im_end|>\n";
  const std::string hidden = "<|im_start|>assistant\na<|im_end|>\n";
  const std::string query = "<|im_start|>user\nq<|im_end|>\n";
  EXPECT_EQ(render({user("q"), thinking, user("q"), thinking}), query + hidden + query + shown);
  EXPECT_EQ(render({user("q"), thinking, thinking}), query + shown + shown);
  // Without thinking, only the last message opens it.
  EXPECT_EQ(render({user("q"), assistant("a"), assistant("a")}),
            query + hidden + "<|im_start|>assistant\n<think>\n\n</think>\n\na<|im_end|>\n");
  // A user's message that is a tool's response is no query.
  const std::string response = "<tool_response>\n1\n</tool_response>";
  EXPECT_EQ(render({user("q"), thinking, user(response), thinking}),
            query + shown + "<|im_start|>user\n" + response + "<|im_end|>\n" + shown);
  EXPECT_EQ(render({user("q"), thinking, user(response + " "), thinking}),
            query + hidden + "<|im_start|>user\n" + response + " <|im_end|>\n" + shown);
  // Where there is no query at all, nothing comes after it.
  EXPECT_EQ(render({thinking, thinking}), hidden + hidden);
}

TEST(ChatTemplate, ToolCalls) {
  ChatMessage message = assistant("");
  message.tool_calls = {{"f", R"({"x":[1,2.50],"y":"\u00e9"})"}, {"g", "{}"}};
  const std::string calls =
      "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": [1, 2.5], \"y\": \"\u00e9\"}}\n"
      "</tool_call>\n<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>";
  EXPECT_EQ(answer(message), "<think>\n\n</think>\n\n" + calls);
  message.content = "Let me see.";
  EXPECT_EQ(answer(message), "<think>\n\n</think>\n\nLet me see.\n" + calls);
  message.content = "<think>r</think>";
  EXPECT_EQ(answer(message), "<think>\nr\n</think>\n\n" + calls);
}

TEST(ChatTemplate, ArgumentsThatAreNoObjectAreLeftAsTheyAre) {
  for (const std::string arguments :
       {"", "x = 1", "[1,2]", "\"{}\"", "{\"a\":", "{} {}", "{\"a\":1e999}"}) {
    ChatMessage message = assistant("");
    message.tool_calls = {{"f", arguments}};
    EXPECT_EQ(answer(message),
              "<think>\n\n</think>\n\n<tool_call>\n{\"name\": \"f\", \"arguments\": " + arguments +
                  "}\n</tool_call>");
  }
}

TEST(ChatTemplate, ToolMessagesInARowAreOneMessage) {
  EXPECT_EQ(render({tool("1"), tool("2"), user("q"), tool("3")}),
            "<|im_start|>user\n<tool_response>\n1\n</tool_response>\n<tool_response>\n2\n"
            "</tool_response><|im_end|>\n<|im_start|>user\nq<|im_end|>\n"
            "<|im_start|>user\n<tool_response>\n3\n</tool_response><|im_end|>\n");
}

TEST(ChatTemplate, TheFinalMessageIsContinued) {
  ChatOptions options;
  options.continue_final_message = true;
  const auto continued = [&](const Messages& messages) {
    return render_chat(ChatFormat::kQwen25, messages, options);
  };
  EXPECT_TRUE(continued({user("q"), assistant("a "), assistant("b\n")})
                  .ends_with("<|im_start|>assistant\na <|im_end|>\n<|im_start|>assistant\nb\n"));
  EXPECT_TRUE(continued({assistant("")}).ends_with("<|im_start|>assistant\n"));
  expect_error(ErrorKind::kUsage,
               "The final message's role is \"user\"; to be continued, it must be \"assistant\".",
               [&] {
                 continued({assistant("a"), user("q")});
               });
  ChatMessage call = assistant("a");
  call.tool_calls = {{"f", "{}"}};
  expect_error(ErrorKind::kUsage, "The final message calls tools; it cannot be continued.", [&] {
    continued({user("q"), call});
  });
}

TEST(ChatTemplate, BadChatsAreRefused) {
  expect_error(ErrorKind::kUsage, "The chat has no messages; it must have at least one.",
               [] { render({}); });
  expect_error(ErrorKind::kUsage,
               "messages[1].role is \"owner\\x0a\"; it must be \"system\", \"user\", \"assistant\" "
               "or \"tool\".",
               [] {
                 render({user("q"), {"owner\n", "x", {}, {}}});
               });
  const auto with_tools = [](const std::vector<std::string>& tools) {
    ChatOptions options;
    options.tools = tools;
    return [options] { render_chat(ChatFormat::kQwen3, Messages{user("q")}, options); };
  };
  expect_error(ErrorKind::kUsage, "tools[1] is 7; it must be a JSON object.",
               with_tools({"{}", "7"}));
  expect_error(ErrorKind::kUsage,
               "tools[0] is not valid JSON: parse error at line 1, column 1: syntax error while "
               "parsing value - invalid literal; last read: 'g'.",
               with_tools({"get_weather"}));
}

TEST(ChatTemplate, FormatsWithoutToolsRefuseThem) {
  ChatMessage call = assistant("");
  call.tool_calls = {{"f", "{}"}};
  for (const ChatFormat format : {ChatFormat::kChatMl, ChatFormat::kQwen2}) {
    const std::string end = fmt::format(", but the chat format {} has no tools.", name_of(format));
    expect_error(ErrorKind::kUsage, "messages[1].role is \"tool\"" + end, [&] {
      render_chat(format, Messages{user("q"), tool("1")});
    });
    expect_error(ErrorKind::kUsage, "messages[1] calls tools" + end, [&] {
      render_chat(format, Messages{user("q"), call});
    });
    ChatOptions options;
    options.tools = {"{}"};
    expect_error(ErrorKind::kUsage, "There are tools" + end,
                 [&] { render_chat(format, Messages{user("q")}, options); });
  }
}

TEST(ChatTemplate, WithoutAFormatThereIsNothingToRender) {
  for (const ChatFormat format : {ChatFormat::kNone, ChatFormat::kUnknown}) {
    expect_error(ErrorKind::kUsage,
                 fmt::format("The chat format is {}: nothing says how messages become a prompt. "
                             "Choose a chat format, or continue plain text.",
                             name_of(format)),
                 [&] { render_chat(format, Messages{user("q")}); });
  }
}

}  // namespace
}  // namespace orthrus
