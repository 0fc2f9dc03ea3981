// What a request comes to: tokens, text, and how they were made.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "orthrus/status.h"

namespace orthrus {

enum class FinishReason : uint8_t {
  kStop,       // an end-of-sequence token, or a stop string
  kLength,     // max_tokens, or the end of the context
  kCancelled,  // a callback said so
  kFailed,     // see Generation::status
};
std::string_view name_of(FinishReason reason);  // "stop", "length", "cancelled", "failed"

struct TokenLogprob {
  int32_t token = -1;
  float logprob = 0;

  bool operator==(const TokenLogprob&) const = default;
};

// How likely the AR view found a token in its place: natural logarithms of the softmax of its
// logits, as they are before penalties, biases and temperature. The same numbers in every mode.
struct TokenLogprobs {
  TokenLogprob chosen;
  std::vector<TokenLogprob> top;  // the likeliest first, of equal ones the lowest id

  bool operator==(const TokenLogprobs&) const = default;
};

// Where the drafts of a cycle are from.
enum class DraftSource : uint8_t {
  kNone,      // there are none: a plain AR step, or the token that the prefill gives
  kBlock,     // a block that the cycle drafted
  kTree,      // the same, with several tokens for a place
  kLeftover,  // a block of an earlier cycle
  kLookup,    // what followed where the same tokens stood before, in prompt or output
};
std::string_view name_of(DraftSource source);  // "none", "block", "tree", "leftover", "lookup"

// What one forward pass contributed. The first step has the token that the prefill gives, each
// later one those of a cycle.
struct Step {
  std::span<const int32_t> tokens;            // that it emitted; never empty
  std::string_view text;                      // that became certain with them; may be empty
  int drafted = 0;                            // drafts that the pass verified; 0 in a plain AR step
  int accepted = 0;                           // how many of `tokens` were drafts of these
  std::span<const TokenLogprobs> logprobs{};  // of each token, where they were asked for

  DraftSource source = DraftSource::kNone;
  int made = 0;    // tokens that the cycle drafted before it; it may have verified fewer, or none
  int judged = 0;  // places in which a draft was compared: `accepted`, or one more, a wrong one
  // Of each accepted draft of a tree, how many its row found likelier in its place; empty for other
  // drafts, which are the likeliest.
  std::span<const int> ranks{};
  double seconds = 0;  // since the step before; 0 for the first
};

struct GenerationStats {
  int prefill_passes = 0;    // one for each chunk of the prompt
  int cached_tokens = 0;     // prompt tokens whose keys and values the cache still had
  int ar_passes = 0;         // verify passes and plain AR steps
  int diffusion_passes = 0;  // draft passes
  int cycles = 0;            // of drafts, be they new, left over or looked up, verify and accept
  int accepted = 0;          // drafts accepted
  int preemptions = 0;       // how often it gave way, and was computed again
  double queue_seconds = 0;  // until its first pass began
  double prefill_seconds = 0;
  double decode_seconds = 0;
  double plain_step_seconds = 0;  // that a plain step takes, as far as passes have told
  int generated = 0;              // tokens, the end-of-sequence token included

  // How much was drafted: drafted[d] cycles of d drafts, drafted[0] plain steps; of those that
  // drafted, verified[n] that verified n of them; and, which only mode auto does, leftover[n]
  // cycles that verified n drafts left over from an earlier block, lookup[n] n drafts that prompt
  // and output gave.
  std::vector<int> drafted, verified, leftover, lookup;
  // Of the verified drafts, how many mode auto expected to be accepted.
  double expected_accepted = 0;

  // Accepted drafts a cycle, the bonus token not counted.
  double acceptance_length() const { return cycles == 0 ? 0.0 : double(accepted) / cycles; }
  // Generated tokens a forward pass; however many chunks it took, the prefill counts as one.
  double tokens_per_forward() const {
    const int passes = 1 + ar_passes + diffusion_passes;
    return double(generated) / passes;
  }
  // Of decoding: the first token, which the prefill gives, is not counted.
  double tokens_per_second() const {
    return generated > 1 && decode_seconds > 0 ? (generated - 1) / decode_seconds : 0.0;
  }
};

struct Generation {
  std::vector<int32_t> output_ids;  // without the prompt; the token that ended it is the last
  std::string text;                 // of output_ids, up to a stop string; empty without a tokenizer
  FinishReason finish_reason = FinishReason::kStop;
  // Of kStop: the stop string that ended it; empty where a token did, the last of output_ids.
  std::string stop_string;
  Status status = Status::kOk;
  std::vector<TokenLogprobs> logprobs;         // [output_ids.size()], where asked for
  std::vector<TokenLogprobs> prompt_logprobs;  // [prompt.size() - 1], of its second token and on
  GenerationStats stats;
};

}  // namespace orthrus
