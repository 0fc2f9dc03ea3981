// Bodies of /v1/messages: what the model is to see of them, and what is refused.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "orthrus/engine.h"
#include "server/anthropic/error_form.h"
#include "server/anthropic/messages.h"
#include "server/anthropic/messages_request.h"
#include "server/anthropic/tools.h"

namespace orthrus::server::anthropic {
namespace {

// The messages as "role: content|reasoning|name(arguments)".
std::vector<std::string> messages_of(const std::string& members) {
  const Json json = parse_body("{" + members + "}");
  std::vector<std::string> shown;
  for (const ChatMessage& message : read_messages(Fields(json))) {
    std::string text = message.role + ": " + message.content;
    if (message.reasoning_content) text += "|" + *message.reasoning_content;
    for (const ToolCall& call : message.tool_calls) text += "|" + call.name + call.arguments;
    shown.push_back(std::move(text));
  }
  return shown;
}

using Shown = std::vector<std::string>;

TEST(AnthropicMessages, StringsAndBlocksOfText) {
  EXPECT_EQ(messages_of(R"("messages": [{"role": "user", "content": "q"}])"), (Shown{"user: q"}));
  EXPECT_EQ(messages_of(R"("system": "s", "messages": [
                {"role": "user", "content": [{"type": "text", "text": "a",
                 "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "b"}]},
                {"role": "assistant", "content": "c"},
                {"role": "system", "content": [{"type": "text", "text": "late"}]},
                {"role": "user", "content": []}])"),
            (Shown{"system: s", "user: a\nb", "assistant: c", "system: late", "user: "}));
  EXPECT_EQ(messages_of(R"("system": [{"type": "text", "text": "a"}, {"type": "text", "text": ""},
                                      {"type": "text", "text": "b"}],
                           "messages": [{"role": "user", "content": "q"}])"),
            (Shown{"system: a\nb", "user: q"}));
}

TEST(AnthropicMessages, TheBillingHeaderIsLeftOut) {
  const std::string header = "x-anthropic-billing-header: cc_version=2.1.100.7b4; cch=eb6c6;";
  const std::string rest = R"("messages": [{"role": "user", "content": "q"}])";
  const auto block = [](const std::string& text) {
    return R"({"type": "text", "text": ")" + text + "\"}";
  };
  const Shown plain = {"system: You are an agent.\nBe brief.", "user: q"};
  const std::string you = block("You are an agent."), brief = block("Be brief.");
  EXPECT_EQ(messages_of("\"system\": [" + you + "," + brief + "]," + rest), plain);
  EXPECT_EQ(messages_of("\"system\": [" + block(header) + "," + you + "," + brief + "]," + rest),
            plain);
  EXPECT_EQ(messages_of("\"system\": [" + block(header + "\\nYou are an agent.") + "," + brief +
                        "]," + rest),
            plain);
  EXPECT_EQ(
      messages_of("\"system\": \"" + header + "\\n\\nYou are an agent.\\nBe brief.\"," + rest),
      plain);
  EXPECT_EQ(messages_of("\"system\": \"" + header + "\"," + rest), (Shown{"user: q"}));
  // Elsewhere it is text as any other.
  EXPECT_EQ(messages_of(R"("messages": [{"role": "user", "content": ")" + header + "\"}]"),
            (Shown{"user: " + header}));
}

TEST(AnthropicMessages, ToolsAndThinking) {
  EXPECT_EQ(messages_of(R"("messages": [
      {"role": "user", "content": "q"},
      {"role": "assistant", "content": [
        {"type": "thinking", "thinking": "r", "signature": "x"},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "text", "text": "I look"}, {"type": "text", "text": " it up."},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"b": 1.50, "a": ["é"]}},
        {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}}]},
      {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "1"},
        {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": true,
         "content": [{"type": "text", "text": "no"}, {"type": "text", "text": "way"}]},
        {"type": "tool_result", "tool_use_id": "toolu_3"},
        {"type": "text", "text": "Well?"}]}])"),
            (Shown{"user: q", "assistant: I look it up.|r|f{\"b\":1.5,\"a\":[\"é\"]}|g{}",
                   "tool: 1", "tool: Error: no\nway", "tool: ", "user: Well?"}));
}

const ModelConfig& config() {
  static const ModelFiles files = ModelFiles::open(ORTHRUS_MODELS "/tiny-code");
  return files.config();
}

ServerInfo server_info(ChatFormat format = ChatFormat::kQwen25) {
  ServerInfo info;
  info.model = "tiny";
  info.chat_format = format;
  info.context_length = 1024;
  info.defaults.sampling.top_k = 7;
  info.defaults.stop = {"<end>"};
  return info;
}

MessagesRequest request_of(const std::string& members, ChatFormat format = ChatFormat::kQwen25) {
  const Json json = parse_body(R"({"model": "claude-x", "max_tokens": 9,
                                   "messages": [{"role": "user", "content": "q"}])" +
                               (members.empty() ? "" : "," + members) + "}");
  return read_request(Fields(json), server_info(format), config(), "toolu_");
}

TEST(AnthropicRequest, WithoutAChatFormatTheServerSaysWhatIsServed) {
  for (const ChatFormat format : {ChatFormat::kNone, ChatFormat::kUnknown}) {
    try {
      request_of("", format);
      FAIL() << name_of(format);
    } catch (const ApiError& error) {
      EXPECT_EQ(error.status, 400);
      EXPECT_NE(error.message.find("without --chat-format. /v1/completions"), std::string::npos);
    }
  }
}

TEST(AnthropicRequest, DefaultsAndFields) {
  const MessagesRequest plain = request_of("");
  EXPECT_EQ(plain.model, "claude-x");
  EXPECT_FALSE(plain.stream);
  EXPECT_EQ(plain.options.max_tokens, 9);
  EXPECT_EQ(plain.options.sampling.top_k, 7);
  EXPECT_EQ(plain.options.stop, (std::vector<std::string>{"<end>"}));
  EXPECT_TRUE(plain.stop_sequences.empty());
  EXPECT_FALSE(plain.prompt.output.tools);

  const MessagesRequest full = request_of(
      R"("stream": true, "temperature": 1, "top_p": 0.5, "top_k": 3, "min_p": 0.25, "seed": 12,
         "stop_sequences": ["a", "b"], "metadata": {"user_id": "u"}, "service_tier": "auto",
         "cache_salt": "tenant", "orthrus": {"mode": "ar"}, "unknown": [1])");
  EXPECT_TRUE(full.stream);
  EXPECT_EQ(full.options.sampling.temperature, 1);
  EXPECT_EQ(full.options.sampling.top_p, 0.5f);
  EXPECT_EQ(full.options.sampling.top_k, 3);
  EXPECT_EQ(full.options.sampling.min_p, 0.25f);
  EXPECT_EQ(full.options.sampling.seed, 12u);
  EXPECT_EQ(full.options.cache_salt, "tenant");
  EXPECT_EQ(full.options.mode, Mode::kAr);
  EXPECT_EQ(full.stop_sequences, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(full.options.stop, (std::vector<std::string>{"<end>", "a", "b"}));
}

constexpr const char* kTools =
    R"("tools": [{"name": "f", "description": "does", "input_schema": {"type": "object"},
                  "cache_control": {"type": "ephemeral"}},
                 {"type": "custom", "name": "g", "input_schema": {}}])";

TEST(AnthropicRequest, ToolsAreShownInOpenAisForm) {
  const MessagesRequest request = request_of(kTools);
  EXPECT_TRUE(request.prompt.output.tools);
  EXPECT_TRUE(request.prompt.output.parallel_calls);
  EXPECT_EQ(request.prompt.output.call_id, "toolu_");
  EXPECT_NE(request.prompt.text.find(
                R"({"type": "function", "function": {"name": "f", "description": "does", )"
                R"("parameters": {"type": "object"}}})"),
            std::string::npos)
      << request.prompt.text;
  EXPECT_TRUE(request.prompt.begun.empty());
}

TEST(AnthropicRequest, ToolChoice) {
  const auto with = [](const std::string& choice) {
    return request_of(std::string(kTools) + ", \"tool_choice\": " + choice);
  };
  EXPECT_TRUE(with(R"({"type": "auto"})").prompt.begun.empty());
  const MessagesRequest none = with(R"({"type": "none"})");
  EXPECT_FALSE(none.prompt.output.tools);
  EXPECT_EQ(none.prompt.text, request_of("").prompt.text);
  const MessagesRequest any = with(R"({"type": "any", "disable_parallel_tool_use": true})");
  EXPECT_TRUE(any.prompt.text.ends_with("assistant\n" + any.prompt.begun));
  EXPECT_EQ(any.prompt.begun, "<tool_call>\n{\"name\": \"");
  EXPECT_FALSE(any.prompt.output.parallel_calls);
  EXPECT_EQ(any.options.stop.back(), "</tool_call>");
  EXPECT_EQ(with(R"({"type": "tool", "name": "g"})").prompt.begun,
            "<tool_call>\n{\"name\": \"g\", \"arguments\":");
}

TEST(AnthropicRequest, Thinking) {
  const auto ends = [](const std::string& members, ChatFormat format) {
    const std::string prompt = request_of(members, format).prompt.text;
    return prompt.substr(prompt.rfind("assistant\n") + 10);
  };
  const std::string closed = "<think>\n\n</think>\n\n";
  EXPECT_EQ(ends("", ChatFormat::kQwen3), closed);
  EXPECT_EQ(ends(R"("thinking": {"type": "disabled"})", ChatFormat::kQwen3), closed);
  EXPECT_EQ(ends(R"("thinking": {"type": "adaptive"})", ChatFormat::kQwen3), "");
  EXPECT_EQ(ends(R"("thinking": {"type": "enabled", "budget_tokens": 1024})", ChatFormat::kQwen3),
            "");
  EXPECT_EQ(ends("", ChatFormat::kQwen3Thinking2507), "<think>\n");
  EXPECT_TRUE(request_of("", ChatFormat::kQwen3Thinking2507).prompt.output.thinking_open);
}

TEST(AnthropicRequest, TheAssistantsFinalMessageIsContinued) {
  const Json json = parse_body(R"({"max_tokens": 1, "messages": [
      {"role": "user", "content": "q"},
      {"role": "assistant", "content": [{"type": "text", "text": "Well, "}]}]})");
  EXPECT_TRUE(read_prompt(Fields(json), ChatFormat::kQwen25, "")
                  .text.ends_with("<|im_start|>assistant\nWell, "));
}

TEST(AnthropicRequest, ClaudeCodesShape) {
  std::ifstream file(ORTHRUS_TEST_DATA "/../clients/claude_code.json");
  const std::string body(std::istreambuf_iterator<char>(file), {});
  const Json json = parse_body(body);
  const MessagesRequest request = read_request(Fields(json), server_info(), config(), "toolu_");
  const std::string& prompt = request.prompt.text;
  EXPECT_EQ(prompt.find("billing"), std::string::npos);
  EXPECT_TRUE(prompt.starts_with("<|im_start|>system\nYou are an agent for the command line.\n"));
  EXPECT_NE(prompt.find("\n<tool_response>\nREADME.md\nmain.py\n</tool_response>"),
            std::string::npos);
  EXPECT_EQ(request.prompt.output.untagged.size(), 3u);
}

std::string refusal(const std::string& body) {
  try {
    const Json json = parse_body(body);
    read_request(Fields(json), server_info(), config(), "");
  } catch (const std::exception& error) {
    const ApiError api = as_api_error(error);
    EXPECT_EQ(api.status, 400) << body;
    const Json form = Json::parse(error_json(api, "id"));
    EXPECT_EQ(form["type"], "error");
    EXPECT_EQ(form["error"]["type"], "invalid_request_error");
    EXPECT_EQ(form["request_id"], "id");
    return form["error"]["message"];
  }
  ADD_FAILURE() << "not refused: " << body;
  return "";
}

// What the message must begin with: the field's name.
TEST(AnthropicRequest, WhatIsOutOfRangeIsRefusedByName) {
  const std::vector<std::pair<std::string, std::string>> members = {
      {"max_tokens", R"("max_tokens": 0)"},
      {"max_tokens", R"("max_tokens": -1)"},
      {"max_tokens", R"("max_tokens": 1.5)"},
      {"max_tokens", R"("max_tokens": 2147483648)"},
      {"max_tokens", R"("max_tokens": 9223372036854775808)"},
      {"max_tokens", R"("max_tokens": 1e300)"},
      {"max_tokens", R"("max_tokens": "5")"},
      {"temperature", R"("temperature": 1.01)"},
      {"temperature", R"("temperature": -0.1)"},
      {"top_p", R"("top_p": 0)"},
      {"top_p", R"("top_p": 1.5)"},
      {"top_k", R"("top_k": -2)"},
      {"top_k", R"("top_k": 0.5)"},
      {"min_p", R"("min_p": 2)"},
      {"seed", R"("seed": "x")"},
      {"stream", R"("stream": 1)"},
      {"stop_sequences", R"("stop_sequences": "a")"},
      {"stop_sequences[1]", R"("stop_sequences": ["a", ""])"},
      {"stop_sequences[0]", R"("stop_sequences": [7])"},
      {"thinking", R"("thinking": true)"},
      {"thinking.type", R"("thinking": {})"},
      {"thinking.type", R"("thinking": {"type": "on"})"},
      {"thinking.budget_tokens", R"("thinking": {"type": "enabled"})"},
      {"thinking.budget_tokens", R"("thinking": {"type": "enabled", "budget_tokens": 1023})"},
      {"output_config.format", R"("output_config": {"format": {"type": "json_schema"}})"},
      {"model", R"("model": 5)"},
      {"system", R"("system": 5)"},
      {"system[0].type", R"("system": [{"type": "image"}])"},
      {"system[0].text", R"("system": [{"type": "text"}])"},
      {"system[0]", R"("system": ["s"])"},
      {"tools", R"("tools": {})"},
      {"tools[0].name", R"("tools": [{"input_schema": {}}])"},
      {"tools[0].name", R"("tools": [{"name": "", "input_schema": {}}])"},
      {"tools[0].input_schema", R"("tools": [{"name": "f"}])"},
      {"tools[0].input_schema", R"("tools": [{"name": "f", "input_schema": "x"}])"},
      {"tools[1].name",
       R"("tools": [{"name": "f", "input_schema": {}}, {"name": "f", "input_schema": {}}])"},
      {"tools[0].type", R"("tools": [{"type": "web_search_20250305", "name": "web_search"}])"},
      {"tool_choice.type", R"("tool_choice": {"type": "any"})"},
      {"tool_choice.type", R"("tool_choice": {})"},
      {"tool_choice", R"("tool_choice": "auto")"},
      {"tool_choice.name", std::string(kTools) + R"(, "tool_choice": {"type": "tool"})"},
      {"tool_choice.name",
       std::string(kTools) + R"(, "tool_choice": {"type": "tool", "name": "h"})"},
      {"orthrus.mode", R"("orthrus": {"mode": "fast"})"},
      {"orthrus.block_size", R"("orthrus": {"block_size": 1})"},
      {"orthrus.tree_nodes", R"("orthrus": {"tree_nodes": 1})"},
      {"orthrus.tree_nodes", R"("orthrus": {"tree_nodes": 129})"},
      {"orthrus.tree_nodes", R"("orthrus": {"mode": "ar", "tree_nodes": 8})"},
  };
  for (const auto& [field, member] : members) {
    std::string body = R"({"messages": [{"role": "user", "content": "q"}])";
    if (field != "max_tokens") body += R"(, "max_tokens": 1)";
    const std::string message = refusal(body + "," + member + "}");
    EXPECT_TRUE(message.find(field) != std::string::npos) << field << ": " << message;
  }
  EXPECT_NE(refusal(R"({"messages": [{"role": "user", "content": "q"}]})").find("max_tokens"),
            std::string::npos);
}

// Of a model that has the AR view only.
TEST(AnthropicRequest, DraftsOfAViewThatIsNotThereAreRefusedByName) {
  ModelConfig plain = config();
  plain.block_size = 0;
  const auto refusal_of = [&](const char* own) {
    const Json json =
        parse_body(R"({"max_tokens": 9, "messages": [{"role": "user", "content": "q"}],
                                     "orthrus": )" +
                   std::string(own) + "}");
    try {
      read_request(Fields(json), server_info(), plain, "toolu_");
    } catch (const ApiError& error) {
      return error.message;
    }
    return std::string();
  };
  EXPECT_TRUE(refusal_of(R"({"mode": "dual"})")
                  .starts_with("orthrus.mode is \"dual\"; it must be \"ar\" or"))
      << refusal_of(R"({"mode": "dual"})");
  for (const char* field : {"block_size", "tree_nodes"}) {
    const std::string message = refusal_of(fmt::format("{{\"{}\": 8}}", field).c_str());
    EXPECT_TRUE(message.starts_with(fmt::format("orthrus.{} is 8; it must be left out", field)))
        << message;
  }
  EXPECT_EQ(refusal_of(R"({"mode": "auto", "tree_nodes": 0, "lookup": false})"), "");
}

TEST(AnthropicRequest, MessagesOfOtherShapesAreRefusedByName) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"messages", ""},
      {"messages", R"("messages": [])"},
      {"messages", R"("messages": {})"},
      {"messages[0]", R"("messages": ["q"])"},
      {"messages[0].role", R"("messages": [{"content": "q"}])"},
      {"messages[0].role", R"("messages": [{"role": "tool", "content": "q"}])"},
      {"messages[0].content", R"("messages": [{"role": "user"}])"},
      {"messages[0].content", R"("messages": [{"role": "user", "content": 5}])"},
      {"messages[0].content[0]", R"("messages": [{"role": "user", "content": ["q"]}])"},
      {"messages[0].content[0].type", R"("messages": [{"role": "user", "content": [{}]}])"},
      {"messages[0].content[0].type",
       R"("messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}])"},
      {"messages[0].content[0].type",
       R"("messages": [{"role": "user", "content": [{"type": "document", "source": {}}]}])"},
      {"messages[0].content[0].type",
       R"("messages": [{"role": "user", "content": [{"type": "tool_use"}]}])"},
      {"messages[0].content[0].text",
       R"("messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}])"},
      {"messages[0].content[0].tool_use_id",
       R"("messages": [{"role": "user", "content": [{"type": "tool_result"}]}])"},
      {"messages[0].content[0].content[0].type",
       R"("messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x",
           "content": [{"type": "image"}]}]}])"},
      {"messages[0].content[0].type",
       R"("messages": [{"role": "assistant", "content": [{"type": "tool_result"}]}])"},
      {"messages[0].content[0].input",
       R"("messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "x",
           "name": "f", "input": "{}"}]}])"},
      {"messages[0].content[0].id",
       R"("messages": [{"role": "assistant", "content": [{"type": "tool_use", "name": "f",
           "input": {}}]}])"},
      {"final message", R"("messages": [{"role": "assistant", "content": [{"type": "tool_use",
           "id": "x", "name": "f", "input": {}}]}])"},
  };
  for (const auto& [field, member] : cases) {
    const std::string message =
        refusal(R"({"max_tokens": 1)" + (member.empty() ? "" : "," + member) + "}");
    EXPECT_NE(message.find(field), std::string::npos) << field << ": " << message;
  }
}

TEST(AnthropicRequest, TextsThatAreNoBodyAreRefused) {
  std::string deep(10000, '[');
  for (const std::string& body : {std::string(), std::string("null"), std::string("[]"),
                                  std::string("{\"messages\": \"\xff\"}"), std::string("{"), deep,
                                  "{\"messages\": " + deep}) {
    refusal(body);
  }
}

TEST(AnthropicErrors, TypesGoByTheStatus) {
  const std::vector<std::pair<int, std::string>> types = {
      {400, "invalid_request_error"}, {401, "authentication_error"},
      {403, "permission_error"},      {404, "not_found_error"},
      {405, "invalid_request_error"}, {413, "request_too_large"},
      {429, "rate_limit_error"},      {500, "api_error"},
      {503, "overloaded_error"},      {504, "timeout_error"},
      {529, "overloaded_error"}};
  for (const auto& [status, type] : types) {
    const Json form = Json::parse(error_json(ApiError(status, "x", "It \"is\" \xff."), "r"));
    EXPECT_EQ(form["error"]["type"], type) << status;
    EXPECT_EQ(form["error"]["message"], "It \"is\" \uFFFD.");
  }
}

}  // namespace
}  // namespace orthrus::server::anthropic
