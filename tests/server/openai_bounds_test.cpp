// Every field at and past its bounds, and bodies that no client should send.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "server/openai_server.h"

namespace orthrus::server {
namespace {

using test::server;

struct Case {
  const char* field;
  const char* valid;    // JSON values, separated by a blank
  const char* invalid;  // likewise
};

// Of all that both paths read. 2^31, 2^63, 2^64 and what is no number are past every bound.
const Case kShared[] = {
    {"n", "1 2 1.0 null", "0 -1 129 1.5 \"1\" true [] 9223372036854775808 1e300"},
    {"temperature", "0 0.7 100 1e-300", "-0.1 100.1 \"1\" true {} 1e300"},
    {"top_p", "1 0.5 1e-30", "0 -1 1.01 \"1\""},
    {"top_k", "-1 0 1 2147483647", "-2 2147483648 0.5 \"5\" 9223372036854775808"},
    {"min_p", "0 1 0.05", "-0.01 1.01 \"0\""},
    {"seed", "0 -1 18446744073709551615 -9223372036854775808 7.0",
     "18446744073709551616 1.5 \"7\" true"},
    {"presence_penalty", "-2 0 2", "-2.01 2.01 \"0\""},
    {"frequency_penalty", "-2 0 2", "-2.01 2.01 []"},
    {"repetition_penalty", "1e-6 1 100", "0 -1 100.5 \"1\""},
    {"logit_bias", "{} {\"0\":-100,\"8191\":100} null",
     "{\"8192\":1} {\"-1\":1} {\"x\":1} {\"1\":101} {\"1\":\"1\"} {\"\":1} [] 3 "
     "{\"99999999999999999999\":1} {\"1\":null}"},
    {"stop", "null [] \"x\" [\"x\",\"y\"]", "\"\" [\"\"] [1] 3 [null] {}"},
    {"stop_token_ids", "null [] [0,8191]", "[-1] [8192] [\"1\"] 3 [1.5] [9223372036854775808]"},
    {"ignore_eos", "true false null", "0 \"true\" []"},
    {"stream", "false null", "1 \"true\""},
    {"stream_options", "null", "{} {\"include_usage\":true} 3"},
    {"response_format", "{\"type\":\"text\"} null",
     "{\"type\":\"json_object\"} {\"type\":\"json_schema\",\"json_schema\":{}} {} \"text\" 3"},
    {"priority", "0 -5 2147483647", "2147483648 \"1\" 0.5"},
    {"cache_salt", "\"a\" null", "3 []"},
    {"model", "\"tiny-code\" null", "3 []"},
    {"return_token_ids", "true", "1"},
    {"guided_json", "null", "{} \"x\""},
    {"structured_outputs", "null", "{\"json\":{}}"},
    {"use_beam_search", "false", "true 1"},
    {"orthrus",
     "null {} {\"mode\":\"ar\"} {\"mode\":\"dual\",\"block_size\":16} {\"block_size\":2} "
     "{\"lookup\":false} {\"mode\":\"auto\",\"lookup\":true} {\"lookup\":null} "
     "{\"passes\":true} {\"unknown\":1}",
     "3 {\"mode\":\"fast\"} {\"mode\":1} {\"block_size\":1} {\"block_size\":17} "
     "{\"mode\":\"ar\",\"block_size\":4} {\"passes\":1} {\"lookup\":\"off\"}"},
    {"user", "\"me\" 3", ""},
    {"metadata", "{\"a\":\"b\"}", ""},
    {"store", "true", ""},
    {"no_such_field", "1 [] {}", ""},
};

const Case kChat[] = {
    {"max_tokens", "1 2", "0 -1 2147483648 9223372036854775808 \"1\" 1.5"},
    {"max_completion_tokens", "1 2", "0 -1 2147483648 \"1\""},
    {"logprobs", "true false null", "1 \"true\""},
    {"top_logprobs", "0 null", "-1 1 21 \"1\" 9223372036854775808"},
    {"parallel_tool_calls", "true false", "1"},
    {"tools", "null [] [{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]",
     "3 [3] [{}] [{\"type\":\"custom\"}] [{\"type\":\"function\"}] "
     "[{\"type\":\"function\",\"function\":{}}] "
     "[{\"type\":\"function\",\"function\":{\"name\":3}}]"},
    {"tool_choice", "\"none\" \"auto\" null",
     "\"required\" \"any\" 3 {} {\"type\":\"function\",\"function\":{\"name\":\"f\"}}"},
    {"chat_template_kwargs", "null {} {\"enable_thinking\":false} {\"other\":1}",
     "3 {\"enable_thinking\":1}"},
    {"add_generation_prompt", "true false", "1"},
    {"continue_final_message", "false", "1 true"},
    {"modalities", "[\"text\"] null", "[\"text\",\"audio\"] \"text\""},
    {"audio", "null", "{\"voice\":\"alloy\",\"format\":\"wav\"}"},
    {"functions", "null", "[{\"name\":\"f\"}]"},
    {"reasoning_effort", "\"low\" \"none\" null", "3"},
};

const Case kText[] = {
    {"max_tokens", "1 2 null", "0 -1 2147483648 9223372036854775808 \"1\" 1.5"},
    {"logprobs", "0 20 null", "-1 21 true \"1\" 9223372036854775808"},
    {"best_of", "1 null", "2 0 -1 \"1\" 9223372036854775808"},
    {"echo", "true false", "1"},
    {"suffix", "\"\" null", "\"x\" 3"},
};

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    if (end > at) parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

void check(const std::string& path, const std::string& begin, std::span<const Case> cases) {
  for (const Case& one : cases) {
    const std::string field = one.field;
    const bool has_limit = field.starts_with("max_");
    const auto body = [&](const std::string& value) {
      return begin + (has_limit ? "" : ",\"max_tokens\":1") + ",\"" + field + "\":" + value + "}";
    };
    for (const std::string& value : split(one.valid)) {
      const auto answer = server().send("POST", path, body(value));
      EXPECT_EQ(answer.status, 200) << body(value) << answer.body;
    }
    for (const std::string& value : split(one.invalid)) {
      const auto answer = server().send("POST", path, body(value));
      EXPECT_EQ(answer.status, 400) << body(value) << answer.body;
      const Json error = Json::parse(answer.body)["error"];
      EXPECT_EQ(error["type"], "invalid_request_error") << body(value);
      EXPECT_NE(error["message"].get<std::string>().find(field.substr(0, 4)), std::string::npos)
          << error;
    }
  }
}

TEST(Bounds, OfTextCompletions) {
  check("/v1/completions", R"({"prompt":"a")", kShared);
  check("/v1/completions", R"({"prompt":"a")", kText);
}

TEST(Bounds, OfChatCompletions) {
  const std::string begin = R"({"messages":[{"role":"user","content":"a"}])";
  check("/v1/chat/completions", begin, kShared);
  check("/v1/chat/completions", begin, kChat);
}

void expect_refusal(const std::string& path, const std::string& body, const std::string& message) {
  const auto answer = server().send("POST", path, body);
  EXPECT_EQ(answer.status, 400) << body.substr(0, 200);
  const Json error = Json::parse(answer.body)["error"];
  EXPECT_EQ(error["message"], message) << body.substr(0, 200);
  EXPECT_TRUE(error["param"].is_string() && error["code"].is_string()) << error;
}

TEST(Bounds, OfPrompts) {
  const auto refused = [](const std::string& prompt, const std::string& message) {
    expect_refusal("/v1/completions", "{\"prompt\":" + prompt + "}", message);
  };
  refused("\"\"", "prompt is \"\"; it must be of at least one token.");
  refused("[]", "prompt is a list of 0; it must be of at least one token.");
  refused("[[]]", "prompt[0] is a list of 0; it must be of at least one token.");
  refused("[\"a\",3]",
          "prompt[1] is 3; it must be a text, a list of token ids, or a list of texts or such "
          "lists.");
  refused("[1,\"a\"]", "prompt[1] is \"a\"; it must be a whole number from 0 to 8191.");
  refused("[8192]", "prompt[0] is 8192; it must be a whole number from 0 to 8191.");
  refused("[-1]", "prompt[0] is -1; it must be a whole number from 0 to 8191.");
  refused("null",
          "prompt is missing; it must be a text, a list of token ids, or a list of texts "
          "or such lists.");
  Json long_prompt = Json::array();
  for (int i = 0; i < 2048; ++i) long_prompt.push_back(5);
  refused(long_prompt.dump(),
          "The prompt has 2048 tokens; this model's context of 2048 allows at most 2047.");
  Json many = Json::array();
  for (int i = 0; i < 1025; ++i) many.push_back("a");
  refused(many.dump(), "prompt is a list of 1025; it must be at most 1024.");
  many.erase(0);
  expect_refusal("/v1/completions", Json{{"prompt", many}, {"n", 2}}.dump(),
                 "prompt and n ask for 2048 choices; at most 1024 are given.");
}

TEST(Bounds, OfMessages) {
  const auto refused = [](const std::string& messages, const std::string& message) {
    expect_refusal("/v1/chat/completions", "{\"messages\":" + messages + "}", message);
  };
  refused("null", "messages is missing; it must be a list of messages.");
  refused("[]", "messages is a list of 0; it must be a list of at least one message.");
  refused("\"hi\"", "messages is \"hi\"; it must be a list.");
  refused("[3]",
          "messages[0] is 3; it must be a message, as {\"role\": \"user\", \"content\": "
          "\"Hello\"}.");
  refused("[{\"content\":\"a\"}]",
          "messages[0].role is missing; it must be \"system\", \"user\", "
          "\"assistant\" or \"tool\".");
  refused("[{\"role\":\"wizard\",\"content\":\"a\"}]",
          "messages[0].role is \"wizard\"; it must be \"system\", \"user\", \"assistant\" or "
          "\"tool\".");
  for (const char* const role : {"system", "user", "developer", "tool"}) {
    refused(fmt::format("[{{\"role\":\"{}\",\"content\":null}}]", role),
            "messages[0].content is missing; it must be a string or a list of text parts.");
  }
  refused("[{\"role\":\"user\",\"content\":3}]",
          "messages[0].content is 3; it must be a string or a list of text parts.");
  refused("[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{}}]}]",
          "messages[0].content[0].type is \"image_url\"; it must be \"text\": this model reads "
          "texts only.");
  refused("[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]",
          "messages[0].content[0].text is missing; it must be a string.");
  refused("[{\"role\":\"user\",\"content\":[3]}]",
          "messages[0].content[0] is 3; it must be an object.");
  refused("[{\"role\":\"assistant\",\"tool_calls\":[{}]}]",
          "messages[0].tool_calls[0].function is missing; it must be an object.");
}

TEST(Bounds, OfSeeds) {
  for (const char* const seed : {"18446744073709551616", "-9223372036854775809", "1.5"}) {
    const auto answer = server().send("POST", "/v1/completions",
                                      fmt::format("{{\"prompt\":\"a\",\"seed\":{}}}", seed));
    EXPECT_NE(answer.body.find("it must be a whole number from -9223372036854775808 to "
                               "18446744073709551615."),
              std::string::npos)
        << answer.body;
  }
}

TEST(Bounds, OfBodies) {
  for (const char* path : {"/v1/completions", "/v1/chat/completions", "/tokenize", "/detokenize"}) {
    for (const std::string& body :
         {std::string(), std::string("{"), std::string("[]"), std::string("null"),
          std::string("{\"prompt\":\"\xff\"}"), std::string("{\"temperature\":NaN}"),
          std::string("{\"temperature\":1e400}"), std::string(10'000, '['),
          "{\"a\":" + std::string(10'000, '[') + std::string(10'000, ']') + "}",
          std::string("{\"n\":1,\"n\":1}")}) {
      const auto answer = server().send("POST", path, body);
      EXPECT_EQ(answer.status, 400) << path << " " << body.substr(0, 50);
      EXPECT_EQ(Json::parse(answer.body)["error"]["code"], "invalid_json") << answer.body;
    }
  }
}

TEST(Bounds, AnotherModelIsNotFound) {
  for (const char* path : {"/v1/completions", "/v1/chat/completions", "/tokenize", "/detokenize"}) {
    const auto answer = server().send("POST", path, R"({"model": "gpt-4o"})");
    EXPECT_EQ(answer.status, 404) << path;
    const Json error = Json::parse(answer.body)["error"];
    EXPECT_EQ(error["code"], "model_not_found");
    EXPECT_EQ(error["message"], "The model \"gpt-4o\" is not served; \"tiny-code\" is.");
  }
}

}  // namespace
}  // namespace orthrus::server
