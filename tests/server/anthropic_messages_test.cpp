// /v1/messages with a model, without sockets.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "orthrus/engine.h"
#include "server/anthropic/routes.h"
#include "server/dispatch.h"
#include "server/fake_exchange.h"
#include "server/metrics.h"

namespace orthrus::server::anthropic {
namespace {

using test::FakeExchange;

class MessagesServer {
 public:
  MessagesServer()
      : engine_(Engine::load(ORTHRUS_MODELS "/tiny-code", {.threads = 1})),
        metrics_("tiny-code", engine_.engine().config().block_size),
        dispatcher_(engine_, metrics_, info_of(engine_.engine()), {}) {
    add_routes(router_, &dispatcher_);
  }

  const Engine& engine() const { return engine_.engine(); }
  const ServerInfo& info() const { return dispatcher_.info(); }

  ErrorForm form_of(const std::string& path) const { return router_.find("GET", path).errors; }

  FakeExchange::Answer send(const std::string& path, const std::string& body) {
    const Router::Match match = router_.find("POST", path);
    const auto exchange =
        std::make_shared<FakeExchange>(test::request_of("POST", path, body), match.errors);
    try {
      match.route->handler(exchange);
    } catch (const std::exception& error) {
      exchange->fail(as_api_error(error), {});
    }
    return exchange->wait();
  }

  Json post(const Json& body, const std::string& path = "/v1/messages") {
    const FakeExchange::Answer answer = send(path, body.dump());
    EXPECT_EQ(answer.status, 200) << answer.body;
    return Json::parse(answer.body);
  }

 private:
  // The model has no chat template of its own.
  static ServerInfo info_of(const Engine& engine) {
    ServerInfo info;
    info.model = "tiny-code";
    info.chat_format = ChatFormat::kQwen25;
    info.context_length = engine.config().max_position_embeddings;
    return info;
  }

  AsyncEngine engine_;
  Metrics metrics_;
  Dispatcher dispatcher_;
  Router router_;
};

MessagesServer& server() {
  static MessagesServer server;
  return server;
}

Json body_of(const std::string& question, int max_tokens = 12) {
  return {{"model", "claude-any"},
          {"max_tokens", max_tokens},
          {"temperature", 0},
          {"messages", {{{"role", "user"}, {"content", question}}}}};
}

std::string text_of(const Json& message) {
  std::string text;
  for (const Json& block : message["content"]) text += block["text"].get<std::string>();
  return text;
}

TEST(AnthropicServer, TheAnswerIsTheEngines) {
  const std::vector<ChatMessage> chat = {{"user", "def add(a, b):", {}, {}}};
  Request request;
  request.prompt = server().engine().encode(render_chat(ChatFormat::kQwen25, chat));
  request.options.max_tokens = 12;
  const Generation generation = server().engine().generate(request);

  const Json message = server().post(body_of("def add(a, b):"));
  EXPECT_EQ(text_of(message), generation.text);
  EXPECT_EQ(message["model"], "claude-any");
  EXPECT_EQ(message["stop_reason"], "max_tokens");
  const Json& usage = message["usage"];
  EXPECT_EQ(usage["input_tokens"].get<size_t>() + usage["cache_read_input_tokens"].get<size_t>(),
            request.prompt.size());
  EXPECT_EQ(usage["output_tokens"], generation.stats.generated);
}

TEST(AnthropicServer, StreamsComeToTheSame) {
  Json body = body_of("class Stack:", 24);
  for (const char* const mode : {"ar", "dual", "auto"}) {
    for (const double temperature : {0.0, 0.9}) {
      body["orthrus"] = {{"mode", mode}};
      body["temperature"] = temperature;
      body["seed"] = 5;
      body["stream"] = false;
      const Json message = server().post(body);
      body["stream"] = true;
      const FakeExchange::Answer answer = server().send("/v1/messages", body.dump());
      EXPECT_EQ(answer.status, 200);
      std::string text;
      Json end;
      for (const auto& [name, data] : test::events_of(answer.body)) {
        if (name == "content_block_delta") text += data["delta"]["text"].get<std::string>();
        if (name == "message_delta") end = data;
      }
      EXPECT_EQ(text, text_of(message)) << mode;
      EXPECT_EQ(end["delta"]["stop_reason"], message["stop_reason"]);
      EXPECT_EQ(end["usage"]["output_tokens"], message["usage"]["output_tokens"]);
    }
  }
}

TEST(AnthropicServer, StopSequencesEndTheText) {
  const std::string whole = text_of(server().post(body_of("def add(a, b):", 24)));
  ASSERT_GT(whole.size(), 8u);
  const std::string stop = whole.substr(4, 3);
  Json body = body_of("def add(a, b):", 24);
  body["stop_sequences"] = {"never in the text", stop};
  const Json message = server().post(body);
  EXPECT_EQ(text_of(message), whole.substr(0, whole.find(stop)));
  EXPECT_EQ(message["stop_reason"], "stop_sequence");
  EXPECT_EQ(message["stop_sequence"], stop);
}

TEST(AnthropicServer, TokensAreCounted) {
  Json body = body_of("How many?", 1);
  body["system"] = "Be brief.";
  body["tools"] = {{{"name", "f"}, {"input_schema", {{"type", "object"}}}}};
  body["tool_choice"] = {{"type", "any"}};
  const Json usage = server().post(body)["usage"];
  body.erase("max_tokens");
  body.erase("model");
  const Json counted = server().post(body, "/v1/messages/count_tokens");
  EXPECT_EQ(counted.size(), 1u);
  EXPECT_EQ(counted["input_tokens"].get<int>(),
            usage["input_tokens"].get<int>() + usage["cache_read_input_tokens"].get<int>());
  EXPECT_EQ(server().send("/v1/messages/count_tokens", "{}").status, 400);
}

TEST(AnthropicServer, TheBillingHeaderLeavesPromptsInTheCache) {
  Json usage;
  for (const char* const hash : {"eb6c6", "4e20a"}) {
    Json body = body_of("q", 1);
    body["system"] = {
        {{"type", "text"}, {"text", fmt::format("x-anthropic-billing-header: cch={};", hash)}},
        {{"type", "text"}, {"text", std::string(400, 'x') + "You are an agent of this test."}}};
    usage = server().post(body)["usage"];
  }
  EXPECT_GE(usage["cache_read_input_tokens"], 64);
}

TEST(AnthropicServer, AForcedCallIsACall) {
  Json body = body_of("Weather?", 16);
  body["tools"] = {{{"name", "get_weather"}, {"input_schema", {{"type", "object"}}}}};
  body["tool_choice"] = {{"type", "tool"}, {"name", "get_weather"}};
  const Json message = server().post(body);  // the model knows no JSON: its text may be anything
  for (const Json& block : message["content"]) {
    if (block["type"] != "tool_use") continue;
    EXPECT_EQ(block["name"], "get_weather");
    EXPECT_TRUE(block["id"].get<std::string>().starts_with("toolu_"));
  }
  EXPECT_FALSE(message["content"].empty());
}

TEST(AnthropicServer, ErrorsAreInAnthropicsForm) {
  const FakeExchange::Answer answer = server().send("/v1/messages", "{}");
  EXPECT_EQ(answer.status, 400);
  const Json form = Json::parse(answer.body);
  EXPECT_EQ(form["type"], "error");
  EXPECT_EQ(form["error"]["type"], "invalid_request_error");
  EXPECT_EQ(form["request_id"], "test");

  // Of paths that are not served, too.
  for (const char* const path : {"/v1/messages", "/v1/messages/batches", "/v1/complete"}) {
    const auto errors = server().form_of(path);
    ASSERT_NE(errors, nullptr) << path;
    EXPECT_EQ(Json::parse(errors({404, "x", "No."}, "r"))["error"]["type"], "not_found_error");
  }
  EXPECT_EQ(server().form_of("/v1/messagesx"), nullptr);
  EXPECT_EQ(server().form_of("/v1/models"), nullptr);

  std::string question;
  for (int i = 0; i < server().info().context_length; ++i) question += "a b ";
  const FakeExchange::Answer too_long = server().send("/v1/messages", body_of(question).dump());
  EXPECT_EQ(too_long.status, 400);
  EXPECT_TRUE(Json::parse(too_long.body)["error"]["message"].get<std::string>().starts_with(
      "prompt is too long: "))
      << too_long.body;
  EXPECT_EQ(server().send("/v1/messages/count_tokens", body_of(question).dump()).status, 200);
}

}  // namespace
}  // namespace orthrus::server::anthropic
