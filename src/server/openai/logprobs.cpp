#include "server/openai/logprobs.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace orthrus::server::openai {
namespace {

// JSON has no infinity; OpenAI's servers give this for what is as good as impossible.
double shown_logprob(const TokenLogprob& token) {
  return std::max(static_cast<double>(token.logprob), -9999.0);
}

std::string text_of_token(const Tokenizer* tokenizer, int32_t id) {
  return tokenizer == nullptr ? std::string() : tokenizer->decode({&id, 1});
}

Json chat_entry(const Tokenizer* tokenizer, const TokenLogprob& token) {
  Json bytes = Json::array();
  if (tokenizer != nullptr) {
    for (const char byte : tokenizer->token_bytes(token.token)) {
      bytes.push_back(static_cast<unsigned char>(byte));
    }
  }
  return {{"token", text_of_token(tokenizer, token.token)},
          {"logprob", shown_logprob(token)},
          {"bytes", std::move(bytes)}};
}

std::string name_of_token(const Tokenizer* tokenizer, int32_t id) {
  if (tokenizer == nullptr) return fmt::format("token_id:{}", id);
  std::string text = text_of_token(tokenizer, id);
  const std::string_view bytes = tokenizer->token_bytes(id);
  if (text == bytes) return text;
  std::string name = "bytes:";
  for (const char byte : bytes) {
    fmt::format_to(std::back_inserter(name), "\\x{:02x}", static_cast<unsigned char>(byte));
  }
  return name;
}

// The chosen token is among them even where it is not one of the likeliest.
Json text_top(const Tokenizer* tokenizer, const TokenLogprobs& logprobs) {
  Json top = Json::object();
  const auto add = [&](const TokenLogprob& token) {
    top.emplace(name_of_token(tokenizer, token.token), shown_logprob(token));
  };
  for (const TokenLogprob& token : logprobs.top) add(token);
  add(logprobs.chosen);
  return top;
}

}  // namespace

Json chat_logprobs(const Tokenizer* tokenizer, std::span<const ShownToken> tokens) {
  Json content = Json::array();
  for (const ShownToken& token : tokens) {
    if (!token.logprobs) continue;
    Json entry = chat_entry(tokenizer, token.logprobs->chosen);
    Json top = Json::array();
    for (const TokenLogprob& other : token.logprobs->top)
      top.push_back(chat_entry(tokenizer, other));
    entry["top_logprobs"] = std::move(top);
    content.push_back(std::move(entry));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

Json text_logprobs(const Tokenizer* tokenizer, std::span<const ShownToken> tokens, bool top) {
  Json offsets = Json::array(), texts = Json::array(), logprobs = Json::array();
  Json tops = top ? Json::array() : Json(nullptr);
  for (const ShownToken& token : tokens) {
    offsets.push_back(token.offset);
    texts.push_back(name_of_token(tokenizer, token.id));
    logprobs.push_back(token.logprobs ? Json(shown_logprob(token.logprobs->chosen))
                                      : Json(nullptr));
    if (top) tops.push_back(token.logprobs ? text_top(tokenizer, *token.logprobs) : Json(nullptr));
  }
  return {{"text_offset", std::move(offsets)},
          {"tokens", std::move(texts)},
          {"token_logprobs", std::move(logprobs)},
          {"top_logprobs", std::move(tops)}};
}

Json token_ids(std::span<const ShownToken> tokens) {
  Json ids = Json::array();
  for (const ShownToken& token : tokens) ids.push_back(token.id);
  return ids;
}

}  // namespace orthrus::server::openai
