// Choices fed by hand: however a text comes, its pieces come to the same.
#include <gtest/gtest.h>

#include <map>

#include "engine/stop_strings.h"
#include "orthrus/tokenizer.h"
#include "server/openai/chat_choice.h"
#include "server/openai/logprobs.h"
#include "server/openai/text_choice.h"

namespace orthrus::server::openai {
namespace {

const Tokenizer& tokenizer() {
  static const Tokenizer tokenizer = load_tokenizer(ORTHRUS_MODELS "/tiny-code");
  return tokenizer;
}

TokenLogprobs logprobs_of(int32_t id) {
  return {.chosen = {id, -0.5f}, .top = {{7, -0.25f}, {id, -0.5f}}};
}

// What the engine would give for these tokens, `block` of them a pass.
Generation feed(
    Choice& choice, const std::vector<int32_t>& ids, size_t block,
    const std::vector<std::string>& stop_strings = {},
    const std::function<void()>& after_each = [] {}) {
  StopStrings stops(stop_strings);
  StreamDecoder stream(tokenizer(), /*skip_special=*/true);
  Generation generation;
  generation.finish_reason = FinishReason::kLength;
  for (size_t at = 0; at < ids.size() && !stops.found();) {
    std::vector<int32_t> tokens;
    std::vector<TokenLogprobs> logprobs;
    std::string text;
    while (tokens.size() < block && at < ids.size() && !stops.found()) {
      tokens.push_back(ids[at++]);
      logprobs.push_back(logprobs_of(tokens.back()));
      text += stops.put(stream.put(tokens.back()));
    }
    if (at == ids.size() || stops.found()) text += stops.put(stream.finish()) + stops.finish();
    generation.text += text;
    generation.output_ids.insert(generation.output_ids.end(), tokens.begin(), tokens.end());
    choice.put({.tokens = tokens, .text = text, .logprobs = logprobs});
    after_each();
  }
  if (stops.found()) {
    generation.finish_reason = FinishReason::kStop;
    generation.stop_string = stop_strings.front();
  }
  choice.finish(generation);
  after_each();
  return generation;
}

struct Joined {
  std::string role, content, reasoning;
  struct Call {
    std::string id, name, arguments;
    bool operator==(const Call&) const = default;
  };
  std::map<int, Call> calls;
  Json logprobs = Json::array();

  void add(const Json& members) {
    const Json& delta = members["delta"];
    role += delta.value("role", "");
    content += delta.value("content", "");
    reasoning += delta.value("reasoning_content", "");
    for (const Json& piece : delta.value("tool_calls", Json::array())) {
      Call& call = calls[piece["index"].get<int>()];
      call.id += piece.value("id", "");
      call.name += piece["function"].value("name", "");
      call.arguments += piece["function"].value("arguments", "");
    }
    if (members["logprobs"].is_null()) return;
    for (const Json& token : members["logprobs"]["content"]) logprobs.push_back(token);
  }
};

ChatChoiceOptions chat_options() {
  return {.output = {.reasoning = true, .tools = true, .call_id = "call_x_"},
          .begun = "",
          .logprobs = true};
}

constexpr const char* kAnswer =
    "<think>\nWhat is asked? A wörld.\n</think>\n\nI look it up.\n<tool_call>\n"
    "{\"name\": \"look\", \"arguments\": {\"place\": \"Zürich\", \"deep\": {\"a\": [1, 2]}}}\n"
    "</tool_call>\n<tool_call>\n{\"name\": \"other\", \"arguments\": {}}\n</tool_call>";

TEST(ChatChoice, DeltasComeToTheMessage) {
  const std::vector<int32_t> ids = tokenizer().encode(kAnswer);
  for (const size_t block : {1, 2, 3, 5, 8, 16, 32, 1000}) {
    ChatChoice streamed(&tokenizer(), chat_options());
    Joined joined;
    joined.add(streamed.opening());
    const Generation generation = feed(streamed, ids, block, {}, [&] {
      if (streamed.has_delta()) joined.add(streamed.take_delta());
    });
    ChatChoice whole(&tokenizer(), chat_options());
    feed(whole, ids, block);
    const Json members = whole.take_whole();
    const Json& message = members["message"];
    EXPECT_EQ(joined.role, "assistant");
    EXPECT_EQ(joined.reasoning, "What is asked? A wörld.");
    EXPECT_EQ(joined.content, "I look it up.");
    EXPECT_EQ(message["role"], "assistant");
    EXPECT_EQ(message["reasoning_content"], joined.reasoning);
    EXPECT_EQ(message["content"], joined.content);
    EXPECT_EQ(joined.logprobs, members["logprobs"]["content"]);
    EXPECT_EQ(joined.logprobs.size(), ids.size());
    ASSERT_EQ(joined.calls.size(), 2u);
    ASSERT_EQ(message["tool_calls"].size(), 2u);
    for (int i = 0; i < 2; ++i) {
      const Json& call = message["tool_calls"][static_cast<size_t>(i)];
      const Joined::Call expected = {call["id"], call["function"]["name"],
                                     call["function"]["arguments"]};
      EXPECT_EQ(joined.calls[i], expected);
      EXPECT_EQ(expected.id, "call_x_" + std::to_string(i));
    }
    EXPECT_EQ(joined.calls[0].name, "look");
    EXPECT_EQ(joined.calls[0].arguments, R"({"place": "Zürich", "deep": {"a": [1, 2]}})");
    Generation stopped = generation;
    stopped.finish_reason = FinishReason::kStop;
    EXPECT_EQ(whole.finish_reason(stopped), "tool_calls");
    EXPECT_EQ(whole.finish_reason(generation), "length");
  }
}

TEST(ChatChoice, ACallMayBeginInThePrompt) {
  ChatChoiceOptions options = chat_options();
  options.output.thinking_open = true;
  options.begun = "\n</think>\n\n<tool_call>\n{\"name\": \"look\", \"arguments\":";
  const std::vector<int32_t> ids = tokenizer().encode(" {\"a\": 1}}\n</tool_call>");
  ChatChoice choice(&tokenizer(), options);
  feed(choice, ids, 1);
  const Json message = choice.take_whole()["message"];
  EXPECT_TRUE(message["content"].is_null());
  EXPECT_FALSE(message.contains("reasoning_content"));
  ASSERT_EQ(message["tool_calls"].size(), 1u);
  EXPECT_EQ(message["tool_calls"][0]["function"]["name"], "look");
  EXPECT_EQ(message["tool_calls"][0]["function"]["arguments"], "{\"a\": 1}");
}

TEST(ChatChoice, ParallelCallsMayBeLeftOut) {
  ChatChoiceOptions options = chat_options();
  options.output.parallel_calls = false;
  ChatChoice choice(&tokenizer(), options);
  feed(choice, tokenizer().encode(kAnswer), 4);
  EXPECT_EQ(choice.take_whole()["message"]["tool_calls"].size(), 1u);
}

// Stop strings that begin at each place: nothing of what follows shows, nor does a token of it.
TEST(ChatChoice, NothingLeaksBehindAStop) {
  const std::string text = "Grüße, wörld: the stop strings are héld back, 漢字 too.";
  const std::vector<int32_t> ids = tokenizer().encode(text);
  const auto begins_character = [&](size_t at) { return (text[at] & 0xc0) != 0x80; };
  for (size_t at = 1; at + 6 < text.size(); ++at) {
    size_t end = at + 6;
    while (!begins_character(end)) ++end;
    if (!begins_character(at)) continue;  // clients send texts
    const std::string stop = text.substr(at, end - at);
    const std::string before = text.substr(0, text.find(stop));
    for (const size_t block : {1, 2, 4, 16}) {
      ChatChoice choice(&tokenizer(), {.output = {}, .begun = "", .logprobs = true});
      Joined joined;
      feed(choice, ids, block, {stop}, [&] {
        if (choice.has_delta()) joined.add(choice.take_delta());
        EXPECT_TRUE(before.starts_with(joined.content));
        // Whatever token has been shown began in text that is shown.
        size_t bytes = 0;
        for (const Json& token : joined.logprobs) {
          EXPECT_LT(bytes, before.size()) << stop;
          bytes += token["bytes"].size();
        }
      });
      EXPECT_EQ(joined.content, before);
    }
  }
}

TEST(ChatChoice, TokensWaitForTheirCharacters) {
  const std::vector<int32_t> ids = tokenizer().encode("漢字");
  ASSERT_GT(ids.size(), 2u);  // bytes of characters
  ChatChoice choice(&tokenizer(), {.output = {}, .begun = "", .logprobs = true});
  size_t shown = 0;
  std::string content;
  feed(choice, ids, 1, {}, [&] {
    if (!choice.has_delta()) return;
    const Json members = choice.take_delta();
    content += members["delta"].value("content", "");
    if (members["logprobs"].is_null()) return;
    EXPECT_FALSE(members["delta"].value("content", "").empty());
    shown += members["logprobs"]["content"].size();
  });
  EXPECT_EQ(content, "漢字");
  EXPECT_EQ(shown, ids.size());
}

TEST(TextChoice, EchoHasLogprobsOfThePrompt) {
  const std::vector<int32_t> prompt = tokenizer().encode("def é(");
  const std::vector<int32_t> ids = tokenizer().encode("self):");
  TextChoiceOptions options{.echo = "def é(", .prompt = prompt, .logprobs = 2};
  TextChoice choice(&tokenizer(), options);
  choice.put({.tokens = ids,
              .text = "self):",
              .logprobs = std::vector<TokenLogprobs>(ids.size(), logprobs_of(ids[0]))});
  EXPECT_FALSE(choice.has_delta());  // those of the prompt come at the end
  Generation generation;
  generation.output_ids = ids;
  generation.text = "self):";
  for (size_t i = 1; i < prompt.size(); ++i) {
    generation.prompt_logprobs.push_back(logprobs_of(prompt[i]));
  }
  choice.finish(generation);
  ASSERT_TRUE(choice.has_delta());
  const Json members = choice.take_delta();
  EXPECT_EQ(members["text"], "def é(self):");
  const Json& logprobs = members["logprobs"];
  const size_t count = prompt.size() + ids.size();
  for (const char* list : {"tokens", "token_logprobs", "top_logprobs", "text_offset"}) {
    EXPECT_EQ(logprobs[list].size(), count) << list;
  }
  EXPECT_TRUE(logprobs["token_logprobs"][0].is_null());
  EXPECT_TRUE(logprobs["top_logprobs"][0].is_null());
  EXPECT_EQ(logprobs["token_logprobs"][1], -0.5);
  EXPECT_EQ(logprobs["text_offset"][0], 0);
  EXPECT_EQ(logprobs["text_offset"][prompt.size()], 6);  // characters, not bytes
}

TEST(TextChoice, WithoutOutputOnlyThePromptIsShown) {
  const std::vector<int32_t> prompt = tokenizer().encode("import os");
  TextChoice choice(&tokenizer(),
                    {.echo = "import os", .prompt = prompt, .logprobs = 0, .no_output = true});
  Generation generation;
  generation.output_ids = {5};
  generation.text = "x";
  generation.prompt_logprobs.resize(prompt.size() - 1);
  choice.put({.tokens = generation.output_ids, .text = "x"});
  choice.finish(generation);
  const Json members = choice.take_whole();
  EXPECT_EQ(members["text"], "import os");
  EXPECT_EQ(members["logprobs"]["tokens"].size(), prompt.size());
  EXPECT_TRUE(members["logprobs"]["top_logprobs"].is_null());
  EXPECT_EQ(choice.finish_reason(generation), "length");
  EXPECT_EQ(choice.output_tokens(generation), 0);
}

TEST(Logprobs, OfTokensThatAreNoWholeUtf8) {
  const std::vector<int32_t> ids = tokenizer().encode("漢");
  ASSERT_GT(ids.size(), 1u);
  std::vector<ShownToken> tokens = {{.id = ids[0], .offset = 3, .logprobs = logprobs_of(ids[0])}};
  const Json text = text_logprobs(&tokenizer(), tokens, true);
  const std::string name = text["tokens"][0];
  EXPECT_TRUE(name.starts_with("bytes:\\xe6")) << name;
  EXPECT_TRUE(text["top_logprobs"][0].contains(name));
  const Json chat = chat_logprobs(&tokenizer(), tokens);
  EXPECT_EQ(chat["content"][0]["bytes"][0], 0xe6);
  EXPECT_EQ(chat["content"][0]["token"], "\uFFFD");
  EXPECT_EQ(chat["content"][0]["top_logprobs"].size(), 2u);
}

TEST(Logprobs, OfWhatIsImpossibleAreNumbers) {
  ShownToken token{
      .id = 7, .offset = 0, .logprobs = TokenLogprobs{.chosen = {7, -INFINITY}, .top = {}}};
  EXPECT_EQ(text_logprobs(&tokenizer(), {&token, 1}, true)["token_logprobs"][0], -9999.0);
  EXPECT_EQ(chat_logprobs(&tokenizer(), {&token, 1})["content"][0]["logprob"], -9999.0);
}

}  // namespace
}  // namespace orthrus::server::openai
