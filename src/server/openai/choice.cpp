#include "server/openai/choice.h"

namespace orthrus::server::openai {

std::string_view Choice::finish_reason(const Generation& generation) const {
  return name_of(generation.finish_reason);
}

int Choice::output_tokens(const Generation& generation) const {
  return static_cast<int>(generation.output_ids.size());
}

}  // namespace orthrus::server::openai
