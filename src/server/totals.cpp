#include "server/totals.h"

#include <fmt/core.h>

#include <string_view>

namespace orthrus::server {

void Totals::add(int prompt_tokens, const Generation& generation) {
  prompt += prompt_tokens;
  cached += generation.stats.cached_tokens;
  generated += generation.stats.generated;
  tokens_per_second += generation.stats.tokens_per_second();
  const std::string_view reason = name_of(generation.finish_reason);
  if (finish.find(reason) != std::string::npos) return;
  if (!finish.empty()) finish += ',';
  finish += reason;
}

std::string Totals::note() const {
  std::string text = fmt::format("prompt={} cached={} tokens={} tokens/s={:.1f}", prompt, cached,
                                 generated, tokens_per_second);
  if (first_token) text += fmt::format(" first={:.3f}s", *first_token);
  return text + " finish=" + finish;
}

}  // namespace orthrus::server
