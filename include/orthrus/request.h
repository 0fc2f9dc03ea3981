// What the engine is asked to continue, and how.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orthrus/generation.h"
#include "orthrus/sampling.h"

namespace orthrus {

enum class Mode : uint8_t {
  kAr,    // plain autoregressive decoding: one pass a token
  kDual,  // draft in the diffusion view, verify in the AR view: the same tokens in fewer passes
  kAuto,  // the same, but where it pays and as much as pays, by what passes take and drafts are
          // worth while it runs; the text itself gives drafts too, and without a diffusion view it
          // alone. With kRejection at a temperature it is kDual, without a diffusion view kAr,
          // since what that gives depends on the drafts.
};

std::string_view name_of(Mode mode);  // "ar", "dual", "auto"

inline constexpr int kUsualTreeNodes = 32;

// Fields marked `how:` change the speed, never the tokens (AcceptRule::kRejection with a
// temperature apart).
struct GenerateOptions {
  int max_tokens = 256;  // >= 1; capped by the context that the prompt leaves
  SamplingParams sampling;
  std::vector<std::string> stop;        // strings, or special tokens by name, that end the text,
                                        // which stops before them
  bool ignore_eos = false;              // go on after the checkpoint's end-of-sequence tokens
  std::vector<int32_t> stop_token_ids;  // further tokens that end the sequence: among the ids,
                                        // not in the text

  // Log-probabilities of each token of the output, and of each of the prompt but the first; each
  // beside so many of the likeliest tokens, 0..20. Those of the prompt have all of it computed,
  // whatever the cache holds of it.
  std::optional<int> logprobs;
  std::optional<int> prompt_logprobs;

  std::optional<Mode> mode;  // how: by default kAuto
  int block_size = 0;        // how: most tokens of a draft block, 2..config().block_size; 0: all
  // how: most nodes of a draft tree, 2..128, the token that it begins behind included; 0: drafts
  // are chains. By default kUsualTreeNodes in mode kAuto, else 0. With kRejection at a temperature
  // all drafts are chains.
  std::optional<int> tree_nodes;
  // how: in mode kAuto, verify what followed where the same tokens stood before, in prompt and
  // output. Where a device runs whole cycles, for a request that decodes alone.
  bool lookup = true;
  AcceptRule accept = AcceptRule::kMatch;
  int prefill_chunk = 0;   // how: most tokens of this prompt in one pass; 0: what suits the device
  int priority = 0;        // how: what waits with a lower one begins earlier, and gives way later
  std::string cache_salt;  // how: shares cached keys and values with requests of the same one only
};

struct Request {
  std::vector<int32_t> prompt;  // 1..max_position_embeddings - 1 token ids
  GenerateOptions options;
  // Callbacks are called by the thread that called generate(). What one throws, std::bad_alloc too,
  // comes out of generate(), and ends every request of the call. A callback may use the engine,
  // other sessions and engines; not the session that is generating, which refuses (Error(kUsage)),
  // nor the requests of the call, which must not change. It may destroy or move the Engine or the
  // Session: their generation goes on to its end. AsyncEngine says what holds there.

  // Called after every pass that emitted tokens; returning false ends the generation there.
  std::function<bool(const Step&)> on_step;
  // Called after every prefill pass with prompt tokens done, more each time, and in all; false ends
  // the generation.
  std::function<bool(int done, int total)> on_prefill;
};

}  // namespace orthrus
