// POST /v1/chat/completions
#include <limits>
#include <utility>
#include <vector>

#include "server/api/random_id.h"
#include "server/openai/answer.h"
#include "server/openai/chat_choice.h"
#include "server/openai/chat_prompt.h"
#include "server/openai/generation_fields.h"
#include "server/openai/handlers.h"
#include "server/output/from_prompt.h"

namespace orthrus::server::openai {
namespace {

constexpr AnswerNames kNames{"chatcmpl-", "chat.completion", "chat.completion.chunk"};
constexpr int kMostInt = std::numeric_limits<int>::max();

// By default all the context that the prompt leaves, which is where the engine ends.
int read_max_tokens(const Fields& body) {
  const auto older = body.integer("max_tokens", 1, kMostInt);
  const auto newer = body.integer("max_completion_tokens", 1, kMostInt);
  return static_cast<int>(newer.value_or(older.value_or(kMostInt)));
}

std::optional<int> read_logprobs(const Fields& body) {
  const bool asked = body.boolean("logprobs").value_or(false);
  const auto top = body.integer("top_logprobs", 0, 20);
  if (asked) return static_cast<int>(top.value_or(0));
  if (top.value_or(0) > 0) body.refuse("top_logprobs", "0, unless logprobs is true");
  return std::nullopt;
}

}  // namespace

void complete_chat(const ExchangePointer& exchange, Dispatcher& dispatcher) {
  const Engine& engine = dispatcher.engine();
  const ServerInfo& info = dispatcher.info();
  const Json json = parse_body(exchange->take_body());
  const Fields body(json);
  check_model(body, info);
  GenerationFields fields = read_generation(body, info, engine.config(), read_max_tokens(body));
  fields.options.logprobs = read_logprobs(body);
  const ChatPrompt prompt = read_chat_prompt(body, info.chat_format);
  std::vector<int32_t> ids = engine.encode(prompt.text);
  check_fits(ids.size(), info, "messages");

  ChatChoiceOptions options{
      .output = output_options(info.chat_format, prompt.rendered(), prompt.tools, ""),
      .begun = prompt.begun,
      .logprobs = fields.options.logprobs.has_value(),
      .return_token_ids = fields.return_token_ids};
  options.output.parallel_calls = body.boolean("parallel_tool_calls").value_or(true);
  const auto answer = std::make_shared<Answer>(exchange, dispatcher, kNames, std::move(fields));
  answer->add(std::move(ids), [&] {
    options.output.call_id = "call_" + random_id() + "_";
    return std::make_unique<ChatChoice>(engine.tokenizer(), options);
  });
  answer->begin();
}

}  // namespace orthrus::server::openai
