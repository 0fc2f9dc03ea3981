#include "server/openai/text_choice.h"

#include <iterator>
#include <utility>

#include "server/openai/logprobs.h"

namespace orthrus::server::openai {

TextChoice::TextChoice(const Tokenizer* tokenizer, TextChoiceOptions options)
    : tokenizer_(tokenizer),
      options_(std::move(options)),
      trace_(tokenizer, options_.echo ? characters(*options_.echo) : 0),
      text_(options_.echo.value_or("")),
      waits_(options_.echo && options_.logprobs) {}

void TextChoice::put(const Step& step) {
  if (options_.no_output) return;
  text_ += step.text;
  seen_ += step.text.size();
  if (shows_tokens()) add(trace_.put(step));
}

void TextChoice::finish(const Generation& generation) {
  if (!options_.no_output) {
    text_ += generation.text.substr(std::min(seen_, generation.text.size()));
    if (shows_tokens()) add(trace_.finish(generation));
  }
  if (waits_) {
    std::vector<ShownToken> all = prompt_tokens(generation);
    all.insert(all.end(), tokens_.begin(), tokens_.end());
    tokens_ = std::move(all);
  }
  waits_ = false;
}

bool TextChoice::has_delta() const {
  return !waits_ && (!text_.empty() || (shows_tokens() && !tokens_.empty()));
}

Json TextChoice::take_delta() {
  Json members = Json::object();
  members["text"] = waits_ ? std::string() : std::exchange(text_, {});
  members["logprobs"] = nullptr;
  if (waits_) return members;
  const std::vector<ShownToken> tokens = std::exchange(tokens_, {});
  if (options_.logprobs && !tokens.empty()) {
    members["logprobs"] = text_logprobs(tokenizer_, tokens, *options_.logprobs > 0);
  }
  if (options_.return_token_ids) members["token_ids"] = token_ids(tokens);
  return members;
}

std::string_view TextChoice::finish_reason(const Generation& generation) const {
  return options_.no_output ? name_of(FinishReason::kLength) : Choice::finish_reason(generation);
}

int TextChoice::output_tokens(const Generation& generation) const {
  return options_.no_output ? 0 : Choice::output_tokens(generation);
}

void TextChoice::add(std::vector<ShownToken> tokens) {
  std::move(tokens.begin(), tokens.end(), std::back_inserter(tokens_));
}

// The first has nothing before it that could make it likely.
std::vector<ShownToken> TextChoice::prompt_tokens(const Generation& generation) const {
  std::vector<ShownToken> tokens;
  std::optional<StreamDecoder> decoder;
  if (tokenizer_ != nullptr) decoder.emplace(*tokenizer_);
  size_t offset = 0;
  for (size_t i = 0; i < options_.prompt.size(); ++i) {
    ShownToken token{.id = options_.prompt[i], .offset = offset, .logprobs = {}};
    if (i > 0 && i - 1 < generation.prompt_logprobs.size()) {
      token.logprobs = generation.prompt_logprobs[i - 1];
    }
    tokens.push_back(std::move(token));
    if (decoder) offset += characters(decoder->put(options_.prompt[i]));
  }
  return tokens;
}

}  // namespace orthrus::server::openai
