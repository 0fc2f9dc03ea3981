// Answers of /v1/messages to made-up generations: whole ones, and streams that come to the same.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "server/anthropic/answer.h"
#include "server/fake_exchange.h"

namespace orthrus::server::anthropic {
namespace {

using test::FakeExchange;

MessagesRequest request_with_tools(bool stream) {
  MessagesRequest request;
  request.model = "m";
  request.stream = stream;
  request.options.max_tokens = 100;
  request.prompt.output.tools = true;
  request.prompt.output.call_id = "toolu_";
  return request;
}

Generation generation_of(const std::string& text) {
  Generation generation;
  generation.text = text;
  generation.stats.generated = 7;
  generation.stats.cached_tokens = 3;
  return generation;
}

// Gives `generation` in pieces of at least `piece` bytes, and whole characters.
FakeExchange::Answer answered(MessagesRequest request, const Generation& generation,
                              size_t piece = 5) {
  const auto exchange = std::make_shared<FakeExchange>(test::request_of("POST", "/v1/messages"));
  const auto answer = std::make_shared<Answer>(exchange, std::move(request), 10);
  const auto callbacks = answer->callbacks();
  const std::vector<int32_t> token = {1};
  const std::string_view text = generation.text;
  callbacks.on_step({.tokens = token, .text = ""});
  size_t begin = 0;
  for (size_t end = piece; end < text.size(); ++end) {  // the rest comes with on_done
    const bool in_character = (text[end] & 0xc0) == 0x80;
    if (in_character || end - begin < piece) continue;
    callbacks.on_step({.tokens = token, .text = text.substr(begin, end - begin)});
    begin = end;
  }
  callbacks.on_done(generation);
  return exchange->wait();
}

// Plays a stream as clients do, checking the order of its events.
Json played(const std::string& stream) {
  Json message;
  std::string arguments;
  bool open = false, ended = false;
  for (const auto& [name, data] : test::events_of(stream)) {
    EXPECT_EQ(data["type"], name);
    EXPECT_FALSE(ended) << name;
    EXPECT_EQ(message.is_null(), name == "message_start");
    if (name == "message_start") {
      message = data["message"];
      EXPECT_TRUE(message["content"].empty());
      EXPECT_TRUE(message["stop_reason"].is_null());
    } else if (name == "content_block_start") {
      EXPECT_FALSE(open);
      open = true;
      EXPECT_EQ(data["index"], message["content"].size());
      message["content"].push_back(data["content_block"]);
      arguments.clear();
    } else if (name == "content_block_delta") {
      EXPECT_TRUE(open);
      EXPECT_EQ(data["index"], message["content"].size() - 1);
      Json& block = message["content"].back();
      for (const auto& [delta, member] :
           std::vector<std::pair<std::string, std::string>>{{"text_delta", "text"},
                                                            {"thinking_delta", "thinking"},
                                                            {"signature_delta", "signature"}}) {
        if (data["delta"]["type"] != delta) continue;
        block[member] = block[member].get<std::string>() + data["delta"][member].get<std::string>();
      }
      if (data["delta"]["type"] == "input_json_delta") {
        EXPECT_EQ(block["type"], "tool_use");
        arguments += data["delta"]["partial_json"].get<std::string>();
      }
    } else if (name == "content_block_stop") {
      EXPECT_TRUE(open);
      open = false;
      if (message["content"].back()["type"] == "tool_use") {
        const Json input = Json::parse(arguments, nullptr, false);
        if (input.is_object()) message["content"].back()["input"] = input;
      }
    } else if (name == "message_delta") {
      EXPECT_FALSE(open);
      message.update(data["delta"]);
      message["usage"] = data["usage"];
      message["orthrus"] = data["orthrus"];
    } else if (name == "message_stop") {
      ended = true;
    } else {
      EXPECT_EQ(name, "ping");
    }
  }
  EXPECT_TRUE(ended) << stream;
  return message;
}

Json whole(const MessagesRequest& request, const Generation& generation) {
  const FakeExchange::Answer answer = answered(request, generation);
  EXPECT_EQ(answer.status, 200) << answer.body;
  return Json::parse(answer.body);
}

// Of both ways, which must come to the same but for their ids.
Json answer_of(MessagesRequest request, const Generation& generation) {
  request.stream = false;
  Json message = whole(request, generation);
  request.stream = true;
  Json streamed = played(answered(request, generation).body);
  EXPECT_TRUE(message["id"].get<std::string>().starts_with("msg_"));
  EXPECT_NE(message["id"], streamed["id"]);
  streamed["id"] = message["id"];
  EXPECT_EQ(nlohmann::json(streamed), nlohmann::json(message));
  return message;
}

TEST(AnthropicAnswer, TextAndNumbers) {
  const Json message = answer_of(request_with_tools(false), generation_of("Hello, wörld"));
  EXPECT_EQ(message["type"], "message");
  EXPECT_EQ(message["role"], "assistant");
  EXPECT_EQ(message["model"], "m");
  EXPECT_EQ(message["content"], Json::parse(R"([{"type": "text", "text": "Hello, wörld"}])"));
  EXPECT_EQ(message["stop_reason"], "end_turn");
  EXPECT_TRUE(message["stop_sequence"].is_null());
  EXPECT_EQ(message["usage"], Json::parse(R"({"input_tokens": 7, "cache_creation_input_tokens": 0,
                                "cache_read_input_tokens": 3, "output_tokens": 7})"));
  EXPECT_EQ(answer_of(request_with_tools(false), generation_of(""))["content"], Json::array());
}

TEST(AnthropicAnswer, BlocksInTheirOrder) {
  MessagesRequest request = request_with_tools(false);
  request.prompt.output.reasoning = request.prompt.output.thinking_open = true;
  const Json message = answer_of(
      request, generation_of("I think.\n</think>\n\nI look.\n<tool_call>\n{\"name\": \"f\", "
                             "\"arguments\": {\"a\": [1]}}\n"
                             "</tool_call>\n<tool_call>\n{\"name\": \"g\"}\n</tool_call>\nDone."));
  EXPECT_EQ(message["content"], Json::parse(R"([
      {"type": "thinking", "thinking": "I think.", "signature": ""},
      {"type": "text", "text": "I look."},
      {"type": "tool_use", "id": "toolu_0", "name": "f", "input": {"a": [1]}},
      {"type": "tool_use", "id": "toolu_1", "name": "g", "input": {}},
      {"type": "text", "text": "\nDone."}])"));
  EXPECT_EQ(message["stop_reason"], "tool_use");
}

TEST(AnthropicAnswer, ACallThatThePromptBegins) {
  MessagesRequest request = request_with_tools(false);
  request.prompt.begun = "<tool_call>\n{\"name\": \"f\", \"arguments\":";
  const Json message = answer_of(request, generation_of(" {\"a\": 1}}\n</tool_call>"));
  EXPECT_EQ(
      message["content"],
      Json::parse(R"([{"type": "tool_use", "id": "toolu_0", "name": "f", "input": {"a": 1}}])"));
}

TEST(AnthropicAnswer, LongPromptsAreReadWithSignsOfLife) {
  const auto exchange = std::make_shared<FakeExchange>(test::request_of("POST", "/v1/messages"));
  const auto callbacks =
      std::make_shared<Answer>(exchange, request_with_tools(true), 10)->callbacks();
  for (const int done : {4, 8, 10}) callbacks.on_prefill(done, 10);
  callbacks.on_done(generation_of("a"));
  const std::string stream = exchange->wait().body;
  std::vector<std::string> names;
  for (const auto& [name, data] : test::events_of(stream)) names.push_back(name);
  names.resize(4);
  EXPECT_EQ(names,
            (std::vector<std::string>{"message_start", "ping", "ping", "content_block_start"}));
  EXPECT_EQ(played(stream)["content"][0]["text"], "a");
}

TEST(AnthropicAnswer, StopReasons) {
  MessagesRequest request = request_with_tools(false);
  request.stop_sequences = {"END"};
  Generation generation = generation_of("a");
  generation.stop_string = "END";
  Json message = answer_of(request, generation);
  EXPECT_EQ(message["stop_reason"], "stop_sequence");
  EXPECT_EQ(message["stop_sequence"], "END");
  generation.stop_string = "<end>";  // the checkpoint's
  EXPECT_EQ(answer_of(request, generation)["stop_reason"], "end_turn");
  generation.stop_string = "";
  generation.finish_reason = FinishReason::kLength;
  EXPECT_EQ(answer_of(request, generation)["stop_reason"], "model_context_window_exceeded");
  generation.stats.generated = 100;
  EXPECT_EQ(answer_of(request, generation)["stop_reason"], "max_tokens");
  // Cut off in a call, whose arguments are then none.
  generation.text = "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"b";
  message = answer_of(request, generation);
  EXPECT_EQ(message["stop_reason"], "max_tokens");
  EXPECT_EQ(message["content"][0]["input"], Json::object());
}

TEST(AnthropicAnswer, Failures) {
  const auto failed = [](bool stream, int steps, const ApiError& error) {
    const auto exchange = std::make_shared<FakeExchange>(test::request_of("POST", "/v1/messages"));
    const auto answer = std::make_shared<Answer>(exchange, request_with_tools(stream), 10);
    const std::vector<int32_t> token = {1};
    for (int i = 0; i < steps; ++i) answer->callbacks().on_step({.tokens = token, .text = "a"});
    answer->fail(error);
    return exchange->wait();
  };
  EXPECT_EQ(failed(true, 0, {500, "server_error", "no"}).status, 500);
  EXPECT_EQ(failed(false, 1, {503, "server_error", "no"}).status, 503);
  for (const auto& [status, type] : {std::pair{500, "api_error"}, {504, "timeout_error"}}) {
    const FakeExchange::Answer answer = failed(true, 1, {status, "server_error", "no"});
    EXPECT_EQ(answer.status, 200);
    const auto events = test::events_of(answer.body);
    EXPECT_EQ(events.back().first, "error");
    EXPECT_EQ(events.back().second["error"]["type"], type);
    EXPECT_EQ(events.back().second["error"]["message"], "no");
    EXPECT_EQ(events.back().second["request_id"], "test");
  }
}

TEST(AnthropicAnswer, StreamsComeToTheSame) {
  const std::vector<std::string> parts = {
      "<think>",
      "</think>",
      "text",
      "\n",
      "é",
      "<tool_call>",
      "</tool_call>",
      "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"}\\\"\"}}\n</tool_call>",
      "{\"name\""};
  std::mt19937 random(7);
  const auto below = [&](size_t n) {
    return std::uniform_int_distribution<size_t>(0, n - 1)(random);
  };
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (size_t i = below(12); i-- > 0;) text += parts[below(parts.size())];
    MessagesRequest request = request_with_tools(false);
    request.prompt.output.reasoning = round % 2 == 0;
    SCOPED_TRACE(text);
    answer_of(request, generation_of(text));
  }
}

}  // namespace
}  // namespace orthrus::server::anthropic
