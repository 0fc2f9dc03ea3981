// /v1/completions: the answers are those of Engine::generate.
#include <gtest/gtest.h>

#include <algorithm>

#include "server/openai_server.h"

namespace orthrus::server {
namespace {

using test::FakeExchange;
using test::server;

constexpr const char* kPath = "/v1/completions";
constexpr const char* kPrompt = "def fibonacci(n):\n";

GenerateOptions options_of(int max_tokens) {
  GenerateOptions options = server().info().defaults;
  options.max_tokens = max_tokens;
  return options;
}

Generation generate(const std::string& prompt, const GenerateOptions& options) {
  return server().engine().generate(Request{
      .prompt = server().engine().encode(prompt), .options = options, .on_step{}, .on_prefill{}});
}

TEST(Completions, AreWhatTheEngineGives) {
  const Generation expected = generate(kPrompt, options_of(24));
  const Json answer = server().post(
      kPath, Json{{"model", "tiny-code"}, {"prompt", kPrompt}, {"max_tokens", 24}}.dump());
  EXPECT_EQ(answer["object"], "text_completion");
  EXPECT_EQ(answer["id"], "cmpl-test");
  EXPECT_EQ(answer["model"], "tiny-code");
  ASSERT_EQ(answer["choices"].size(), 1u);
  const Json& choice = answer["choices"][0];
  EXPECT_EQ(choice["index"], 0);
  EXPECT_EQ(choice["text"], expected.text);
  EXPECT_EQ(choice["finish_reason"], "length");
  EXPECT_TRUE(choice["stop_reason"].is_null());
  EXPECT_TRUE(choice["logprobs"].is_null());
  const Json& usage = answer["usage"];
  EXPECT_EQ(usage["prompt_tokens"], server().engine().encode(kPrompt).size());
  EXPECT_EQ(usage["completion_tokens"], 24);
  EXPECT_EQ(usage["total_tokens"], server().engine().encode(kPrompt).size() + 24);
  EXPECT_GT(answer["orthrus"]["tokens_per_forward"], 0.0);
}

TEST(Completions, BySixteenTokensWhereNothingIsSaid) {
  const Json answer = server().post(kPath, Json{{"prompt", "import"}}.dump());
  EXPECT_EQ(answer["usage"]["completion_tokens"], 16);
  EXPECT_EQ(answer["choices"][0]["text"], generate("import", options_of(16)).text);
}

TEST(Completions, AllWaysToSampleReachTheEngine) {
  GenerateOptions options = options_of(20);
  options.sampling = {.temperature = 0.9f,
                      .top_k = 40,
                      .top_p = 0.95f,
                      .min_p = 0.01f,
                      .seed = 7,
                      .repetition_penalty = 1.1f,
                      .presence_penalty = 0.5f,
                      .frequency_penalty = 0.25f,
                      .logit_bias = {{300, 3.5f}, {5, -100.0f}}};
  options.ignore_eos = true;
  options.stop_token_ids = {270};
  const Generation expected = generate(kPrompt, options);
  const Json body = {{"prompt", kPrompt},
                     {"max_tokens", 20},
                     {"temperature", 0.9},
                     {"top_k", 40},
                     {"top_p", 0.95},
                     {"min_p", 0.01},
                     {"seed", 7},
                     {"repetition_penalty", 1.1},
                     {"presence_penalty", 0.5},
                     {"frequency_penalty", 0.25},
                     {"ignore_eos", true},
                     {"stop_token_ids", {270}},
                     {"return_token_ids", true},
                     {"logit_bias", {{"300", 3.5}, {"5", -100}}}};
  const Json answer = server().post(kPath, body.dump());
  EXPECT_EQ(answer["choices"][0]["token_ids"], expected.output_ids);
  EXPECT_EQ(answer["choices"][0]["text"], expected.text);
  EXPECT_EQ(answer["orthrus"]["seed"], 7);
}

TEST(Completions, ModesAndBlockSizesChangeNothing) {
  const std::string text = generate(kPrompt, options_of(30)).text;
  for (const char* own : {R"({"mode": "ar"})", R"({"mode": "dual"})",
                          R"({"mode": "dual", "block_size": 2})", R"({"mode": "auto"})"}) {
    const Json body = {{"prompt", kPrompt}, {"max_tokens", 30}, {"orthrus", Json::parse(own)}};
    const Json answer = server().post(kPath, body.dump());
    EXPECT_EQ(answer["choices"][0]["text"], text) << own;
  }
}

TEST(Completions, DraftsAreCounted) {
  const Json body = {{"prompt", kPrompt}, {"max_tokens", 40}, {"orthrus", {{"mode", "dual"}}}};
  const Json counts = server().post(kPath, body.dump())["metrics"]["speculative_decoding"];
  const int passes = counts["num_spec_steps"];
  ASSERT_GT(passes, 0);
  int sum = 0, accepted = 0;
  for (size_t n = 0; n < counts["acceptance_histogram"].size(); ++n) {
    const int count = counts["acceptance_histogram"][n];
    sum += count;
    accepted += count * static_cast<int>(n);
  }
  EXPECT_EQ(sum, passes);
  EXPECT_EQ(accepted, counts["num_accepted_draft_tokens"]);
  EXPECT_DOUBLE_EQ(counts["mean_acceptance_length"], 1.0 + double(accepted) / passes);
  const Json plain = {{"prompt", kPrompt}, {"max_tokens", 4}, {"orthrus", {{"mode", "ar"}}}};
  EXPECT_FALSE(server().post(kPath, plain.dump()).contains("metrics"));
}

TEST(Completions, ChoicesAreRequestsOfTheNextSeeds) {
  const Json body = {{"prompt", kPrompt}, {"max_tokens", 12}, {"temperature", 1.0},
                     {"seed", 40},        {"n", 3},           {"best_of", 3}};
  const Json answer = server().post(kPath, body.dump());
  ASSERT_EQ(answer["choices"].size(), 3u);
  for (uint64_t i = 0; i < 3; ++i) {
    GenerateOptions options = options_of(12);
    options.sampling.temperature = 1;
    options.sampling.seed = 40 + i;
    EXPECT_EQ(answer["choices"][i]["index"], i);
    EXPECT_EQ(answer["choices"][i]["text"], generate(kPrompt, options).text) << i;
  }
  EXPECT_EQ(answer["usage"]["prompt_tokens"], server().engine().encode(kPrompt).size());
  EXPECT_EQ(answer["usage"]["completion_tokens"], 36);
}

TEST(Completions, WithoutASeedTellTheirs) {
  const Json body = {{"prompt", kPrompt}, {"max_tokens", 12}, {"temperature", 1.5}};
  const Json answer = server().post(kPath, body.dump());
  Json again = body;
  again["seed"] = answer["orthrus"]["seed"];
  EXPECT_EQ(server().post(kPath, again.dump())["choices"], answer["choices"]);
}

TEST(Completions, SeedsAreAny64Bits) {
  for (const char* seed : {"18446744073709551615", "-1"}) {
    const Json answer = server().post(
        kPath,
        std::string(R"({"prompt": "a", "max_tokens": 6, "temperature": 1, "seed": )") + seed + "}");
    GenerateOptions options = options_of(6);
    options.sampling.temperature = 1;
    options.sampling.seed = UINT64_MAX;
    EXPECT_EQ(answer["choices"][0]["text"], generate("a", options).text) << seed;
  }
}

TEST(Completions, PromptsComeInFourForms) {
  const std::vector<int32_t> ids = server().engine().encode(kPrompt);
  const std::string text = generate(kPrompt, options_of(8)).text;
  const std::string other = generate("class A", options_of(8)).text;
  const auto texts = [&](const Json& prompt) {
    std::vector<std::string> result;
    const Json body = {{"prompt", prompt}, {"max_tokens", 8}};
    const Json answer = server().post(kPath, body.dump());
    for (const Json& choice : answer["choices"]) {
      EXPECT_EQ(choice["index"], result.size());
      result.push_back(choice["text"]);
    }
    return result;
  };
  EXPECT_EQ(texts(kPrompt), (std::vector<std::string>{text}));
  EXPECT_EQ(texts(ids), (std::vector<std::string>{text}));
  EXPECT_EQ(texts(Json::array({kPrompt, "class A"})), (std::vector<std::string>{text, other}));
  EXPECT_EQ(texts(Json::array({Json(ids), Json(server().engine().encode("class A"))})),
            (std::vector<std::string>{text, other}));
  EXPECT_EQ(texts(Json::array({Json(ids), "class A"})), (std::vector<std::string>{text, other}));
}

TEST(Completions, EchoBeginsWithThePrompt) {
  const std::string text = generate(kPrompt, options_of(6)).text;
  const Json body = {{"prompt", kPrompt}, {"max_tokens", 6}, {"echo", true}};
  EXPECT_EQ(server().post(kPath, body.dump())["choices"][0]["text"], kPrompt + text);
  const auto pieces = server().stream(kPath, body);
  std::string joined;
  for (const Json& piece : pieces) joined += piece["choices"][0]["text"];
  EXPECT_EQ(joined, kPrompt + text);

  Json only = body;
  only["max_tokens"] = 0;
  const Json answer = server().post(kPath, only.dump());
  EXPECT_EQ(answer["choices"][0]["text"], kPrompt);
  EXPECT_EQ(answer["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(answer["usage"]["completion_tokens"], 0);
  only["prompt"] = server().engine().encode(kPrompt);
  EXPECT_EQ(server().post(kPath, only.dump())["choices"][0]["text"], kPrompt);
}

TEST(Completions, StopsSayWhatStoppedThem) {
  const Generation whole = generate(kPrompt, options_of(40));
  const std::string stop = whole.text.substr(whole.text.size() / 2, 5);
  const size_t at = whole.text.find(stop);
  const Json body = {{"prompt", kPrompt}, {"max_tokens", 40}, {"stop", stop}};
  const Json choice = server().post(kPath, body.dump())["choices"][0];
  EXPECT_EQ(choice["text"], whole.text.substr(0, at));
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(choice["stop_reason"], stop);

  const int32_t token = whole.output_ids[5];
  const Json by_token = {{"prompt", kPrompt}, {"max_tokens", 40}, {"stop_token_ids", {token}}};
  const Json answer = server().post(kPath, by_token.dump());
  EXPECT_EQ(answer["choices"][0]["stop_reason"], token);
  EXPECT_EQ(answer["choices"][0]["finish_reason"], "stop");
}

TEST(Completions, LogprobsAreTheEnginesInEveryMode) {
  GenerateOptions options = options_of(20);
  options.sampling.temperature = 0.8f;
  options.sampling.seed = 2;
  options.logprobs = 3;
  const Generation expected = generate(kPrompt, options);
  for (const char* mode : {"ar", "dual", "auto"}) {
    const Json body = {{"prompt", kPrompt}, {"max_tokens", 20}, {"temperature", 0.8},
                       {"seed", 2},         {"logprobs", 3},    {"orthrus", {{"mode", mode}}}};
    const Json answer = server().post(kPath, body.dump());
    const Json& logprobs = answer["choices"][0]["logprobs"];
    ASSERT_EQ(logprobs["tokens"].size(), 20u);
    for (size_t i = 0; i < 20; ++i) {
      EXPECT_EQ(logprobs["token_logprobs"][i].get<float>(), expected.logprobs[i].chosen.logprob);
      EXPECT_GE(logprobs["top_logprobs"][i].size(), 3u);
      EXPECT_TRUE(logprobs["top_logprobs"][i].contains(logprobs["tokens"][i]));
    }
    Json offsets = Json::array(), tokens = Json::array();
    for (const Json& piece : server().stream(kPath, body)) {
      const Json& shown = piece["choices"][0]["logprobs"];
      if (shown.is_null()) continue;
      for (const Json& token : shown["tokens"]) tokens.push_back(token);
      for (const Json& offset : shown["text_offset"]) offsets.push_back(offset);
    }
    EXPECT_EQ(tokens, logprobs["tokens"]) << mode;
    EXPECT_EQ(offsets, logprobs["text_offset"]) << mode;
  }
}

// As lm-eval asks: whatever the cache holds by now.
TEST(Completions, EchoScoresThePrompt) {
  const std::vector<int32_t> ids = server().engine().encode("import numpy as np\n\ndef f(x):");
  const std::vector<double> scores = server().engine().score(ids);
  const Json body = {{"prompt", Json::array({Json(ids)})},
                     {"max_tokens", 1},
                     {"logprobs", 1},
                     {"echo", true},
                     {"temperature", 0}};
  for (int times = 0; times < 2; ++times) {
    const Json answer = server().post(kPath, body.dump());
    const Json& logprobs = answer["choices"][0]["logprobs"];
    ASSERT_EQ(logprobs["token_logprobs"].size(), ids.size() + 1);
    EXPECT_TRUE(logprobs["token_logprobs"][0].is_null());
    for (size_t i = 1; i < ids.size(); ++i) {
      EXPECT_NEAR(logprobs["token_logprobs"][i].get<double>(), scores[i - 1], 1e-4) << i;
      EXPECT_GE(logprobs["top_logprobs"][i].begin().value(), logprobs["token_logprobs"][i]);
    }
  }
}

// For all that may be held back: texts of stops that cross the borders of passes.
TEST(Completions, JoinedPiecesAreTheAnswer) {
  const Generation whole = generate(kPrompt, options_of(48));
  std::vector<Json> stops = {nullptr};
  for (const size_t at : {whole.text.size() / 4, whole.text.size() / 2, whole.text.size() - 9}) {
    stops.push_back(whole.text.substr(at, 7));
    stops.push_back(Json::array({whole.text.substr(at + 2, 4), whole.text.substr(at, 7) + "never",
                                 whole.text.substr(at, 3)}));
  }
  for (const int block_size : {0, 2, 5, 16}) {
    for (const Json& stop : stops) {
      Json body = {{"prompt", kPrompt},
                   {"max_tokens", 48},
                   {"stop", stop},
                   {"return_token_ids", true},
                   {"stream_options", {{"include_usage", true}}}};
      body["orthrus"] = block_size == 0 ? Json{{"mode", "ar"}}
                                        : Json{{"mode", "dual"}, {"block_size", block_size}};
      Json plain = body;
      plain.erase("stream_options");
      const Json answer = server().post(kPath, plain.dump());
      const std::vector<Json> pieces = server().stream(kPath, body);
      ASSERT_GE(pieces.size(), 2u);
      std::string text;
      Json ids = Json::array();
      for (size_t i = 0; i + 1 < pieces.size(); ++i) {
        const Json& choice = pieces[i]["choices"][0];
        text += choice["text"];
        for (const Json& id : choice["token_ids"]) ids.push_back(id);
        EXPECT_TRUE(pieces[i]["usage"].is_null());
        EXPECT_EQ(choice["finish_reason"].is_null(), i + 2 < pieces.size());
      }
      const Json& expected = answer["choices"][0];
      EXPECT_EQ(Json(text), expected["text"]) << block_size << stop;
      EXPECT_EQ(ids, expected["token_ids"]) << block_size << stop;
      EXPECT_EQ(pieces[pieces.size() - 2]["choices"][0]["finish_reason"],
                expected["finish_reason"]);
      EXPECT_TRUE(pieces.back()["choices"].empty());
      EXPECT_EQ(pieces.back()["usage"]["completion_tokens"], answer["usage"]["completion_tokens"]);
      EXPECT_EQ(pieces.back()["orthrus"].contains("tokens_per_forward"), true);
    }
  }
}

TEST(Completions, ChoicesOfAStreamAreTellApart) {
  Json body = {{"prompt", {kPrompt, "import"}},
               {"max_tokens", 10},
               {"n", 2},
               {"temperature", 1},
               {"seed", 3}};
  const Json answer = server().post(kPath, body.dump());
  std::vector<std::string> texts(4);
  int finished = 0;
  for (const Json& piece : server().stream(kPath, body)) {
    ASSERT_EQ(piece["choices"].size(), 1u);
    const Json& choice = piece["choices"][0];
    texts.at(choice["index"].get<size_t>()) += choice["text"];
    finished += choice["finish_reason"].is_null() ? 0 : 1;
    EXPECT_FALSE(piece.contains("usage"));
  }
  EXPECT_EQ(finished, 4);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(answer["choices"][i]["text"], texts[i]);
}

// The engine does not wait for them: they come together at the end, in one write, which a client
// may take as slowly as it likes.
TEST(Completions, EchoesOfAStreamAreThoseOfTheAnswer) {
  Json body = {{"prompt", {kPrompt, "import numpy"}},
               {"n", 2},
               {"max_tokens", 6},
               {"temperature", 1},
               {"seed", 4},
               {"echo", true},
               {"logprobs", 2}};
  const Json whole = server().post(kPath, body.dump())["choices"];
  body["stream"] = true;
  const FakeExchange::Answer answer = server().send("POST", kPath, body.dump());
  const std::vector<Json> pieces = test::pieces_of(answer.body);
  const auto is_last = [](const Json& piece) {
    return !piece["choices"][0]["finish_reason"].is_null();
  };
  std::vector<std::string> texts(whole.size()), ends(whole.size());
  std::vector<Json> logprobs(whole.size());
  for (const Json& piece : pieces) {
    const Json& choice = piece["choices"][0];
    const auto i = choice["index"].get<size_t>();
    EXPECT_EQ(ends[i], "") << "nothing comes behind the last piece";
    texts[i] += choice["text"];
    if (!choice["logprobs"].is_null()) logprobs[i] = choice["logprobs"];
    if (is_last(piece)) ends[i] = choice["finish_reason"];
  }
  ASSERT_EQ(whole.size(), 4u);
  for (size_t i = 0; i < whole.size(); ++i) {
    EXPECT_EQ(texts[i], whole[i]["text"]);
    EXPECT_EQ(ends[i], whole[i]["finish_reason"]);
    EXPECT_EQ(logprobs[i], whole[i]["logprobs"]);
  }
  EXPECT_TRUE(pieces.back().contains("orthrus"));
  EXPECT_EQ(std::ranges::count_if(test::pieces_of(answer.last_piece), is_last), 4);
}

// Which begins before the time is up; how long that takes is the machine's affair.
TEST(Completions, AStreamThatTakesTooLongSaysSo) {
  for (std::chrono::milliseconds timeout{50};; timeout *= 2) {
    test::OpenAiServer slow(ChatFormat::kQwen25, {.timeout = timeout});
    const FakeExchange::Answer answer = slow.send("POST", kPath,
                                                  Json{{"prompt", kPrompt},
                                                       {"max_tokens", 2000},
                                                       {"ignore_eos", true},
                                                       {"stream", true},
                                                       {"n", 2}}
                                                      .dump());
    if (answer.status == 504) continue;
    ASSERT_EQ(answer.status, 200);
    const Json error = test::pieces_of(answer.body).back();
    ASSERT_TRUE(error.contains("error")) << error;
    EXPECT_EQ(error["error"]["type"], "timeout_error");
    EXPECT_EQ(error["error"]["code"], "timeout");
    break;
  }
}

TEST(Completions, EveryPassIsAPieceWhereAskedFor) {
  Json body = {{"prompt", kPrompt},
               {"max_tokens", 32},
               {"stop", "never, ever"},
               {"orthrus", {{"mode", "dual"}, {"passes", true}}}};
  const auto pieces = server().stream(kPath, body);
  int tokens = 0, accepted = 0;
  std::string text;
  for (const Json& piece : pieces) {
    text += piece["choices"][0]["text"];
    if (!piece["orthrus"].contains("tokens")) continue;
    tokens += piece["orthrus"]["tokens"].get<int>();
    accepted += piece["orthrus"]["accepted"].get<int>();
  }
  EXPECT_EQ(tokens, 32);
  EXPECT_GT(accepted, 0);
  EXPECT_EQ(text, generate(kPrompt, options_of(32)).text);
}

}  // namespace
}  // namespace orthrus::server
