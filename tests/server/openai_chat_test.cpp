// /v1/chat/completions, /tokenize and the rest: prompts are those of render_chat, answers those of
// Engine::generate.
#include <gtest/gtest.h>

#include "orthrus/chat.h"
#include "server/openai_server.h"

namespace orthrus::server {
namespace {

using test::server;

constexpr const char* kPath = "/v1/chat/completions";
constexpr const char* kTools =
    R"([{"type": "function", "function": {"name": "look", "description": "Looks.",
    "parameters": {"type": "object", "properties": {"z": {"type": "string"}, "a": {}}}}}])";

std::vector<int32_t> ids_of(std::span<const ChatMessage> messages,
                            const ChatOptions& options = {}) {
  return server().engine().encode(render_chat(ChatFormat::kQwen25, messages, options));
}

Json chat(const char* content) {
  return {{"messages", {{{"role", "user"}, {"content", content}}}}};
}

std::vector<int32_t> tokenized(const std::string& body) {
  return server().post("/tokenize", body)["tokens"];
}

TEST(Chat, AnswersAreWhatTheEngineGives) {
  ChatMessage message{
      .role = "user", .content = "Write a loop.", .reasoning_content{}, .tool_calls{}};
  GenerateOptions options = server().info().defaults;
  options.max_tokens = 20;
  options.sampling.temperature = 0.8f;
  options.sampling.seed = 5;
  Json body = chat("Write a loop.");
  body.update({{"max_tokens", 20}, {"temperature", 0.8}, {"seed", 5}, {"n", 2}});
  const Json answer = server().post(kPath, body.dump());
  EXPECT_EQ(answer["object"], "chat.completion");
  EXPECT_EQ(answer["id"], "chatcmpl-test");
  ASSERT_EQ(answer["choices"].size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    const Generation expected = server().engine().generate(
        Request{.prompt = ids_of({&message, 1}), .options = options, .on_step{}, .on_prefill{}});
    EXPECT_EQ(answer["choices"][i]["message"]["content"], expected.text) << i;
    EXPECT_EQ(answer["choices"][i]["message"]["role"], "assistant");
    ++options.sampling.seed;
  }
  EXPECT_EQ(answer["usage"]["prompt_tokens"], ids_of({&message, 1}).size());
  EXPECT_EQ(answer["usage"]["completion_tokens"], 40);
}

TEST(Chat, WithoutAChatFormatTheServerSaysWhatIsServed) {
  test::OpenAiServer plain(ChatFormat::kNone);
  const auto answer = plain.send("POST", kPath, chat("Hi").dump());
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.body.find("without --chat-format. /v1/completions"), std::string::npos)
      << answer.body;
}

TEST(Chat, WithoutALimitTheContextIsOne) {
  Json body = {{"prompt", Json::array()}};
  std::string text;
  for (int i = 0; i < 2000; ++i) text += " a";
  Json long_chat = chat(text.c_str());
  long_chat["ignore_eos"] = true;
  const Json answer = server().post(kPath, long_chat.dump());
  EXPECT_EQ(answer["usage"]["total_tokens"], server().info().context_length);
  EXPECT_EQ(answer["choices"][0]["finish_reason"], "length");
}

TEST(Chat, JoinedPiecesAreTheAnswer) {
  for (const int block_size : {0, 2, 16}) {
    Json body = chat("def main():");
    body.update({{"max_tokens", 20}, {"temperature", 1}, {"seed", 11}, {"n", 2}});
    body["orthrus"] =
        block_size == 0 ? Json{{"mode", "ar"}} : Json{{"mode", "dual"}, {"block_size", block_size}};
    const Json answer = server().post(kPath, body.dump());
    body["stream_options"] = {{"include_usage", true}};
    const auto pieces = server().stream(kPath, body);
    ASSERT_GT(pieces.size(), 5u);
    std::vector<std::string> contents(2);
    for (size_t i = 0; i + 1 < pieces.size(); ++i) {
      EXPECT_EQ(pieces[i]["object"], "chat.completion.chunk");
      const Json& choice = pieces[i]["choices"][0];
      const size_t index = choice["index"];
      EXPECT_EQ(choice["delta"].contains("role"), i < 2);  // the first two, one of each choice
      contents.at(index) += choice["delta"].value("content", "");
    }
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(Json(contents[i]), answer["choices"][i]["message"]["content"]);
    }
    for (const char* number : {"prompt_tokens", "completion_tokens", "total_tokens"}) {
      EXPECT_EQ(pieces.back()["usage"][number], answer["usage"][number]);
    }
    for (const char* number : {"seed", "tokens_per_forward", "acceptance_length"}) {
      EXPECT_EQ(pieces.back()["orthrus"].value(number, -1.0),
                answer["orthrus"].value(number, -1.0));
    }
  }
}

TEST(Chat, MessagesBecomeThePrompt) {
  const std::vector<ChatMessage> messages = {
      {.role = "system", .content = "Be brief.", .reasoning_content{}, .tool_calls{}},
      {.role = "user", .content = "one\ntwo", .reasoning_content{}, .tool_calls{}},
      {.role = "assistant",
       .content = "",
       .reasoning_content{},
       .tool_calls = {{.name = "look", .arguments = R"({"z": "x"})"}}},
      {.role = "tool", .content = "found", .reasoning_content{}, .tool_calls{}}};
  ChatOptions options;
  options.tools = {Json::parse(kTools)[0].dump()};
  EXPECT_EQ(tokenized(std::string(R"({"messages": [
    {"role": "developer", "content": "Be brief.", "name": "x"},
    {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
    {"role": "assistant", "content": null, "tool_calls": [
      {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{\"z\": \"x\"}"}}]},
    {"role": "tool", "tool_call_id": "c", "content": "found"}], "tools": )") +
                      kTools + "}"),
            ids_of(messages, options));
}

TEST(Chat, ToolsAreSeenUnlessThereIsNoChoice) {
  ChatMessage message{.role = "user", .content = "Hi", .reasoning_content{}, .tool_calls{}};
  ChatOptions with_tools;
  with_tools.tools = {Json::parse(kTools)[0].dump()};
  Json body = chat("Hi");
  body["tools"] = Json::parse(kTools);
  EXPECT_EQ(tokenized(body.dump()), ids_of({&message, 1}, with_tools));
  body["tool_choice"] = "auto";
  EXPECT_EQ(tokenized(body.dump()), ids_of({&message, 1}, with_tools));
  body["tool_choice"] = "none";
  EXPECT_EQ(tokenized(body.dump()), ids_of({&message, 1}));
}

TEST(Chat, ADemandedCallIsBegunInThePrompt) {
  ChatMessage message{.role = "user", .content = "Hi", .reasoning_content{}, .tool_calls{}};
  ChatOptions options;
  options.tools = {Json::parse(kTools)[0].dump()};
  const std::string rendered = render_chat(ChatFormat::kQwen25, {&message, 1}, options);
  Json body = chat("Hi");
  body["tools"] = Json::parse(kTools);
  body["tool_choice"] = "required";
  EXPECT_EQ(tokenized(body.dump()),
            server().engine().encode(rendered + "<tool_call>\n{\"name\": \""));
  body["tool_choice"] = {{"type", "function"}, {"function", {{"name", "look"}}}};
  EXPECT_EQ(
      tokenized(body.dump()),
      server().engine().encode(rendered + "<tool_call>\n{\"name\": \"look\", \"arguments\":"));
  body["tool_choice"]["function"]["name"] = "other";
  EXPECT_EQ(server().send("POST", kPath, body.dump()).status, 400);
}

TEST(Chat, AFinalMessageMayBeContinued) {
  const std::vector<ChatMessage> messages = {
      {.role = "user", .content = "Count.", .reasoning_content{}, .tool_calls{}},
      {.role = "assistant", .content = "One, two,", .reasoning_content{}, .tool_calls{}}};
  ChatOptions options;
  options.add_generation_prompt = false;
  options.continue_final_message = true;
  const std::string list =
      R"("messages": [{"role": "user", "content": "Count."},
                      {"role": "assistant", "content": "One, two,"}])";
  EXPECT_EQ(tokenized("{" + list + R"(, "continue_final_message": true})"),
            ids_of(messages, options));
  EXPECT_EQ(server()
                .send("POST", kPath, "{" + list + R"(, "continue_final_message": true,
                                                 "add_generation_prompt": true})")
                .status,
            400);
  ChatOptions open;
  open.add_generation_prompt = false;
  EXPECT_EQ(tokenized("{" + list + R"(, "add_generation_prompt": false})"), ids_of(messages, open));
}

TEST(Tokenize, TextsAndBack) {
  const std::string text = "def é():\n    return '漢字'";
  const Json answer =
      server().post("/tokenize", Json{{"prompt", text}, {"return_token_strs", true}}.dump());
  const std::vector<int32_t> ids = server().engine().encode(text);
  EXPECT_EQ(answer["tokens"], ids);
  EXPECT_EQ(answer["count"], ids.size());
  EXPECT_EQ(answer["max_model_len"], server().info().context_length);
  EXPECT_EQ(answer["token_strs"].size(), ids.size());
  EXPECT_EQ(server().post("/tokenize", Json{{"content", text}}.dump())["tokens"], ids);
  const Json back = server().post("/detokenize", Json{{"tokens", ids}}.dump());
  EXPECT_EQ(back["prompt"], text);
  EXPECT_EQ(back["content"], text);
  EXPECT_EQ(server().post("/tokenize", R"({"prompt": ""})")["count"], 0);
  EXPECT_EQ(server().post("/detokenize", R"({"tokens": []})")["prompt"], "");
}

TEST(Tokenize, RefusesWhatIsNoText) {
  for (const char* body : {"{}", R"({"prompt": 3})", R"({"content": []})", R"({"messages": []})",
                           R"({"prompt": "a", "add_special_tokens": 1})"}) {
    EXPECT_EQ(server().send("POST", "/tokenize", body).status, 400) << body;
  }
  for (const char* body : {"{}", R"({"tokens": 3})", R"({"tokens": [-1]})", R"({"tokens": [8192]})",
                           R"({"tokens": ["1"]})"}) {
    EXPECT_EQ(server().send("POST", "/detokenize", body).status, 400) << body;
  }
}

TEST(Tokenize, TheTokenizerIsDescribed) {
  const auto answer = server().send("GET", "/tokenizer_info");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(Json::parse(answer.body)["eos_token"], "<|endoftext|>");
}

TEST(Models, AreListed) {
  const auto list = server().send("GET", "/v1/models");
  EXPECT_EQ(list.status, 200);
  const Json model = Json::parse(list.body)["data"][0];
  EXPECT_EQ(model["id"], "tiny-code");
  EXPECT_EQ(model["object"], "model");
  EXPECT_EQ(model["max_model_len"], 2048);
  EXPECT_EQ(Json::parse(server().send("GET", "/v1/models/tiny-code").body), model);
  // As Anthropic's clients read them.
  EXPECT_EQ(model["type"], "model");
  EXPECT_EQ(model["display_name"], "tiny-code");
  EXPECT_EQ(model["created_at"], "1970-01-01T00:00:01Z");
  EXPECT_EQ(Json::parse(list.body)["has_more"], false);
  EXPECT_EQ(server().send("GET", "/v1/models/other").status, 404);
}

TEST(Description, HasEveryPathAndNoDeadReference) {
  const auto answer = server().send("GET", "/openapi.json");
  EXPECT_EQ(answer.status, 200);
  const Json description = Json::parse(answer.body);
  EXPECT_EQ(description["openapi"], "3.1.0");
  for (const char* path :
       {"/v1/chat/completions", "/v1/completions", "/v1/models", "/v1/models/{id}", "/tokenize",
        "/detokenize", "/tokenizer_info", "/openapi.json"}) {
    EXPECT_TRUE(description["paths"].contains(path)) << path;
  }
  const std::string mark = "\"$ref\": \"#/components/schemas/";
  for (size_t at = answer.body.find(mark); at != std::string::npos;
       at = answer.body.find(mark, at + 1)) {
    const size_t begin = at + mark.size();
    const std::string name = answer.body.substr(begin, answer.body.find('"', begin) - begin);
    EXPECT_TRUE(description["components"]["schemas"].contains(name)) << name;
  }
}

}  // namespace
}  // namespace orthrus::server
