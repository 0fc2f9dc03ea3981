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
  Request request{
      .prompt = engine.encode(prompt.text), .options = fields.options, .on_step{}, .on_prefill{}};
  check_fits(request.prompt.size(), info, "messages");

  const std::string& id = exchange->request().id;
  const auto answer = std::make_shared<Answer>(exchange,
                                               Envelope{.id = "chatcmpl-" + id,
                                                        .object = "chat.completion",
                                                        .chunk_object = "chat.completion.chunk",
                                                        .model = info.model,
                                                        .fingerprint = fingerprint(engine, info),
                                                        .stream = fields.stream,
                                                        .include_usage = fields.include_usage,
                                                        .passes = fields.passes,
                                                        .seed = fields.options.sampling.seed},
                                               engine.config().eos_token_ids);

  ChatChoiceOptions options{
      .output = output_options(info.chat_format, prompt.rendered(), prompt.tools, ""),
      .begun = prompt.begun,
      .logprobs = fields.options.logprobs.has_value(),
      .return_token_ids = fields.return_token_ids};
  options.output.parallel_calls = body.boolean("parallel_tool_calls").value_or(true);
  std::vector<Request> requests;
  for (int i = 0; i < fields.n; ++i) {
    options.output.call_id = "call_" + random_id() + "_";
    const auto prompt_tokens = static_cast<int>(request.prompt.size());
    answer->add(std::make_unique<ChatChoice>(engine.tokenizer(), options),
                i == 0 ? std::optional(prompt_tokens) : std::nullopt);
    requests.push_back(request);
    ++request.options.sampling.seed;
  }
  answer->begin(dispatcher, std::move(requests));
}

}  // namespace orthrus::server::openai
