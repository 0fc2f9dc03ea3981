// POST /tokenize and /detokenize, GET /tokenizer_info, in vLLM's form; llama.cpp's is taken, too.
#include <utility>
#include <vector>

#include "server/openai/chat_prompt.h"
#include "server/openai/generation_fields.h"
#include "server/openai/handlers.h"
#include "server/openai/text_prompts.h"

namespace orthrus::server::openai {
namespace {

// Of a prompt, or llama.cpp's "content", or a chat.
std::vector<int32_t> read_and_encode(const Fields& body, const Dispatcher& dispatcher) {
  const Tokenizer& tokenizer = tokenizer_of(dispatcher);
  if (body.has("messages")) {
    return dispatcher.engine().encode(read_chat_prompt(body, dispatcher.info().chat_format).text);
  }
  auto text = body.text("content");
  const bool is_content = text.has_value();
  if (!text)
    text = text_of(body.required("prompt", "a text, where there are no messages"), "prompt");
  const auto special =
      body.boolean(is_content ? "add_special" : "add_special_tokens").value_or(!is_content);
  return special ? tokenizer.encode_prompt(*text) : tokenizer.encode(*text);
}

}  // namespace

void tokenize(const ExchangePointer& exchange, const Dispatcher& dispatcher) {
  const Json json = parse_body(exchange->take_body());
  const Fields body(json);
  check_model(body, dispatcher.info());
  const std::vector<int32_t> ids = read_and_encode(body, dispatcher);
  Json answer = {
      {"count", ids.size()}, {"max_model_len", dispatcher.info().context_length}, {"tokens", ids}};
  if (body.boolean("return_token_strs").value_or(false)) {
    Json texts = Json::array();
    for (const int32_t id : ids) texts.push_back(tokenizer_of(dispatcher).decode({&id, 1}));
    answer["token_strs"] = std::move(texts);
  }
  exchange->respond(200, "application/json", to_text(answer));
}

void detokenize(const ExchangePointer& exchange, const Dispatcher& dispatcher) {
  const Json json = parse_body(exchange->take_body());
  const Fields body(json);
  check_model(body, dispatcher.info());
  body.required("tokens", "a list of token ids");
  const std::vector<int32_t> ids =
      read_token_ids(*body.list("tokens"), "tokens", dispatcher.engine().config());
  std::string text = tokenizer_of(dispatcher).decode(ids);
  Json answer = {{"prompt", text}};
  answer["content"] = std::move(text);  // llama.cpp's name for it
  exchange->respond(200, "application/json", to_text(answer));
}

void describe_tokenizer(const ExchangePointer& exchange, const Dispatcher& dispatcher) {
  const Tokenizer& tokenizer = tokenizer_of(dispatcher);
  const std::vector<int32_t>& eos = dispatcher.engine().config().eos_token_ids;
  const Json answer = {
      {"tokenizer_class", "orthrus"},
      {"vocab_size", tokenizer.vocab_size()},
      {"eos_token", eos.empty() ? Json(nullptr) : Json(tokenizer.decode({eos.data(), 1}))}};
  exchange->respond(200, "application/json", to_text(answer));
}

}  // namespace orthrus::server::openai
