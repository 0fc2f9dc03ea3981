// POST /v1/completions
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "server/openai/answer.h"
#include "server/openai/generation_fields.h"
#include "server/openai/handlers.h"
#include "server/openai/text_choice.h"
#include "server/openai/text_prompts.h"

namespace orthrus::server::openai {
namespace {

constexpr AnswerNames kNames{"cmpl-", "text_completion", "text_completion"};
constexpr int kDefaultMaxTokens = 16;  // OpenAI's
constexpr size_t kMostChoices = 1024;  // of all prompts together

// 0 only shows the prompt again.
int read_max_tokens(const Fields& body, bool echo) {
  const auto given = body.integer("max_tokens", 0, std::numeric_limits<int>::max());
  if (given == 0 && !echo) body.refuse("max_tokens", "1 or more, unless echo is true");
  return static_cast<int>(given.value_or(kDefaultMaxTokens));
}

std::optional<int> read_logprobs(const Fields& body) {
  const auto given = body.integer("logprobs", 0, 20);
  return given ? std::optional(static_cast<int>(*given)) : std::nullopt;
}

void refuse_what_is_not_done(const Fields& body, int n) {
  if (const auto best_of = body.integer("best_of", 1, 128); best_of && *best_of != n) {
    body.refuse("best_of", fmt::format("n, which is {}: all choices are given", n));
  }
  if (body.text("suffix").value_or("") != "") {
    body.refuse("suffix", "left out: this server fills no gaps in texts");
  }
}

}  // namespace

void complete_text(const ExchangePointer& exchange, Dispatcher& dispatcher) {
  const Engine& engine = dispatcher.engine();
  const ServerInfo& info = dispatcher.info();
  const Json json = parse_body(exchange->take_body());
  const Fields body(json);
  check_model(body, info);
  const bool echo = body.boolean("echo").value_or(false);
  const int max_tokens = read_max_tokens(body, echo);
  GenerationFields fields = read_generation(body, info, engine.config(), std::max(max_tokens, 1));
  refuse_what_is_not_done(body, fields.n);
  const std::optional<int> logprobs = read_logprobs(body);
  fields.options.logprobs = logprobs;
  if (echo) fields.options.prompt_logprobs = logprobs;
  std::vector<TextPrompt> prompts = read_text_prompts(body, engine.config(), engine.tokenizer());
  if (prompts.size() * static_cast<size_t>(fields.n) > kMostChoices) {
    throw invalid_request(fmt::format("prompt and n ask for {} choices; at most {} are given.",
                                      prompts.size() * static_cast<size_t>(fields.n), kMostChoices),
                          "prompt", "invalid_value");
  }

  TextChoiceOptions options{.echo = {},
                            .prompt = {},
                            .logprobs = logprobs,
                            .no_output = max_tokens == 0,
                            .return_token_ids = fields.return_token_ids};
  const auto answer = std::make_shared<Answer>(exchange, dispatcher, kNames, std::move(fields));
  for (TextPrompt& prompt : prompts) {
    check_fits(prompt.ids.size(), info, prompt.field);
    if (echo) {
      options.prompt = prompt.ids;
      options.echo = prompt.text ? *prompt.text : tokenizer_of(dispatcher).decode(prompt.ids);
    }
    answer->add(std::move(prompt.ids),
                [&] { return std::make_unique<TextChoice>(engine.tokenizer(), options); });
  }
  answer->begin();
}

}  // namespace orthrus::server::openai
