// What the log says of an answer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "orthrus/generation.h"

namespace orthrus::server {

// All choices of an answer together.
struct Totals {
  int64_t prompt = 0, cached = 0, generated = 0;
  double tokens_per_second = 0;
  std::optional<double> first_token;
  std::string finish;  // "stop", or "stop,length" of two

  // `end`: the word for its end.
  void add(int prompt_tokens, const Generation& generation, std::string_view end);
  std::string note() const;  // "prompt=12 cached=0 tokens=8 ..."
};

}  // namespace orthrus::server
