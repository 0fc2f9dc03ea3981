#include "server/totals.h"

#include <fmt/core.h>

namespace orthrus::server {

void Totals::add(int prompt_tokens, const Generation& generation, std::string_view end) {
  prompt += prompt_tokens;
  cached += generation.stats.cached_tokens;
  generated += generation.stats.generated;
  tokens_per_second += generation.stats.tokens_per_second();
  if (finish.find(end) != std::string::npos) return;
  if (!finish.empty()) finish += ',';
  finish += end;
}

std::string Totals::note() const {
  std::string text = fmt::format("prompt={} cached={} tokens={} tokens/s={:.1f}", prompt, cached,
                                 generated, tokens_per_second);
  if (first_token) text += fmt::format(" first={:.3f}s", *first_token);
  return text + " finish=" + finish;
}

}  // namespace orthrus::server
