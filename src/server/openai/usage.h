// What an answer cost, and how drafting went: counted over its choices.
#pragma once

#include <cstdint>
#include <vector>

#include "orthrus/generation.h"
#include "server/api/fields.h"

namespace orthrus::server::openai {

// The numbers of one answer.
class Usage {
 public:
  // Each prompt counts once, also where several choices share it.
  void add_prompt(int tokens) { prompt_tokens_ += tokens; }
  void add_step(const Step& step);
  // `shares_prompt`: an earlier choice has told what of the prompt was cached.
  void add_choice(const Generation& generation, int output_tokens, int reasoning_tokens,
                  bool shares_prompt);

  int prompt_tokens() const { return prompt_tokens_; }
  int output_tokens() const { return output_tokens_; }

  // OpenAI's "usage".
  Json usage() const;
  // vLLM's "metrics": {"speculative_decoding": {...}}; null where no pass verified drafts.
  Json metrics() const;
  // Our own: {"seed", "tokens_per_forward", "acceptance_length", "plain_step_seconds"}, as far as
  // they are known.
  Json own(uint64_t seed) const;

 private:
  int prompt_tokens_ = 0;
  int output_tokens_ = 0;
  int reasoning_tokens_ = 0;
  int cached_tokens_ = 0;
  int drafted_ = 0;
  int accepted_ = 0;
  std::vector<int> accepted_of_;  // [n]: passes that verified drafts and accepted n of them
  size_t most_drafted_ = 0;       // of one pass
  int64_t generated_ = 0, passes_ = 0, cycles_ = 0, accepted_in_cycles_ = 0;
  double plain_step_seconds_ = 0;  // as the choice that ended last was told
};

}  // namespace orthrus::server::openai
