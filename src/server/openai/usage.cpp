#include "server/openai/usage.h"

#include <algorithm>

namespace orthrus::server::openai {

void Usage::add_step(const Step& step) {
  if (step.drafted == 0) return;
  drafted_ += step.drafted;
  accepted_ += step.accepted;
  most_drafted_ = std::max(most_drafted_, static_cast<size_t>(step.drafted));
  accepted_of_.resize(std::max(accepted_of_.size(), most_drafted_ + 1));
  ++accepted_of_[static_cast<size_t>(step.accepted)];
}

void Usage::add_choice(const Generation& generation, int output_tokens, int reasoning_tokens,
                       bool shares_prompt) {
  const GenerationStats& stats = generation.stats;
  output_tokens_ += output_tokens;
  reasoning_tokens_ += reasoning_tokens;
  if (!shares_prompt) cached_tokens_ += stats.cached_tokens;
  generated_ += stats.generated;
  passes_ += 1 + stats.ar_passes + stats.diffusion_passes;
  cycles_ += stats.cycles;
  accepted_in_cycles_ += stats.accepted;
  if (stats.plain_step_seconds > 0) plain_step_seconds_ = stats.plain_step_seconds;
}

Json Usage::usage() const {
  return {{"prompt_tokens", prompt_tokens_},
          {"completion_tokens", output_tokens_},
          {"total_tokens", prompt_tokens_ + output_tokens_},
          {"prompt_tokens_details", {{"cached_tokens", cached_tokens_}}},
          {"completion_tokens_details", {{"reasoning_tokens", reasoning_tokens_}}}};
}

Json Usage::metrics() const {
  if (drafted_ == 0) return nullptr;
  int passes = 0;
  for (const int count : accepted_of_) passes += count;
  // vLLM counts the token that comes after the accepted ones.
  const double mean = 1.0 + static_cast<double>(accepted_) / passes;
  return {{"speculative_decoding",
           {{"mean_acceptance_length", mean},
            {"draft_acceptance_rate", static_cast<double>(accepted_) / drafted_},
            {"acceptance_histogram", accepted_of_},
            {"num_spec_steps", passes},
            {"num_accepted_draft_tokens", accepted_},
            {"num_draft_tokens", drafted_},
            {"num_spec_tokens", most_drafted_}}}};
}

Json Usage::own(uint64_t seed) const {
  Json own = {{"seed", seed}};
  if (passes_ > 0) own["tokens_per_forward"] = static_cast<double>(generated_) / passes_;
  if (cycles_ > 0) own["acceptance_length"] = static_cast<double>(accepted_in_cycles_) / cycles_;
  if (plain_step_seconds_ > 0) own["plain_step_seconds"] = plain_step_seconds_;
  return own;
}

}  // namespace orthrus::server::openai
