#include "server/openai/token_trace.h"

#include <algorithm>
#include <utility>

#include "server/api/fields.h"

namespace orthrus::server::openai {

TokenTrace::TokenTrace(const Tokenizer* tokenizer, size_t offset) : characters_(offset) {
  if (tokenizer != nullptr) decoder_.emplace(*tokenizer, /*skip_special=*/true);
}

std::vector<ShownToken> TokenTrace::put(const Step& step) {
  for (size_t i = 0; i < step.tokens.size(); ++i) {
    add(step.tokens[i], i < step.logprobs.size() ? std::optional(step.logprobs[i]) : std::nullopt);
  }
  certain_ += step.text.size();
  std::vector<ShownToken> shown;
  while (!waiting_.empty() && waiting_.front().needed <= certain_) {
    shown.push_back(std::move(waiting_.front().token));
    waiting_.pop_front();
  }
  return shown;
}

std::vector<ShownToken> TokenTrace::finish(const Generation& generation) {
  const bool cut = !generation.stop_string.empty();
  std::vector<ShownToken> shown;
  for (Waiting& waiting : waiting_) {
    if (cut && waiting.begin >= generation.text.size()) break;
    shown.push_back(std::move(waiting.token));
  }
  waiting_.clear();
  return shown;
}

void TokenTrace::add(int32_t id, std::optional<TokenLogprobs> logprobs) {
  Waiting waiting{.token = {.id = id, .offset = characters_, .logprobs = std::move(logprobs)},
                  .begin = decoded_};
  if (decoder_) {
    const std::string text = decoder_->put(id);
    decoded_ += text.size();
    characters_ += characters(text);
    // The beginning of a character is certain when the character is.
    StreamDecoder ending = *decoder_;
    waiting.needed = decoded_ + (ending.finish().empty() ? 0 : 1);
  }
  waiting_.push_back(std::move(waiting));
}

}  // namespace orthrus::server::openai
