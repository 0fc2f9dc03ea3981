// The decoding of one sequence: draft, verify, accept.
//
// A Decoder does not run passes. It says which span it wants in the next pass, and is given what
// was chosen in that span's rows; so any number of them, at whatever point of their cycles, share a
// pass.
#pragma once

#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "decode/policy.h"
#include "decode/rejection.h"
#include "network/cycle.h"
#include "network/span.h"
#include "orthrus/config.h"

namespace orthrus {

struct DecodeParams {
  int block_size = 1;  // most tokens of a block, whatever the policy says
  AcceptRule accept = AcceptRule::kMatch;
  SamplingParams sampling{};
  int max_tokens = 1;                     // to generate; the context must have room for them
  std::vector<int32_t> stop_token_ids{};  // generating one, which is emitted, ends the sequence
  int prefill_chunk = 1;                  // most prompt tokens of a pass
};

struct DecodeCounts {
  int prefill_passes = 0;
  int ar_passes = 0;         // verify passes and plain steps
  int diffusion_passes = 0;  // draft passes
  int cycles = 0;    // of draft, verify and accept, or of leftover drafts, verify and accept
  int accepted = 0;  // drafts that were accepted, in all cycles

  // What the policy chose: [d] cycles that drafted d tokens, of those [n] that verified n, and [n]
  // cycles that verified n leftover drafts; drafted[0] is plain steps. And what it expected of the
  // verified ones.
  std::vector<int> drafted, verified, leftover;
  double expected_accepted = 0;
};

class Decoder {
 public:
  // `sequence` may already hold the keys of a proper prefix of the prompt. Configuration, sequence,
  // prompt and policy must outlive the decoder; the parameters have been checked
  // (engine/request.h).
  Decoder(const ModelConfig& config, KvSequence& sequence, std::span<const int32_t> prompt,
          Policy& policy, DecodeParams params);

  bool done() const { return phase_ == Phase::kDone; }
  bool prefilling() const { return phase_ == Phase::kPrefill; }
  int cached() const { return sequence_->length(); }  // positions whose keys are in the cache

  // What to run next; valid until take(). Not when done().
  Span next();

  // What the pass gave of that span. Emits tokens, none after a draft or an unfinished prefill;
  // valid until the next call. kNonFiniteLogits ends the sequence.
  Status take(const HeadRows& rows);

  // Whole cycles, which a device runs, in place of next() and take(): between cycles, unless drafts
  // are accepted by the rejection rule, which the host applies.
  bool can_cycle() const { return phase_ == Phase::kCycle && !by_rejection(); }
  // Whether that is so in a pass or two, the prefill being over.
  bool will_cycle() const { return phase_ != Phase::kPrefill && !by_rejection(); }
  CycleStart begin_cycles();
  int plan_cycle(int in_flight);  // drafts of the next one; -1 where those in flight are the last
  Status take_cycle(const CycleResult& result);

  // What the pass took; with the rejection rule, what take() took besides.
  void observe(const PassTime& time) { policy_->observe_pass(time); }

  std::span<const int32_t> emitted() const { return emitted_; }

  // Of the cycle that emitted: how many drafts were verified, and how many of those accepted.
  int drafted() const { return drafted_; }
  int accepted() const { return accepted_; }

  const DecodeParams& params() const { return params_; }
  const DecodeCounts& counts() const { return counts_; }

 private:
  enum class Phase { kPrefill, kCycle, kDraft, kVerify, kDone };  // kCycle: one begins

  Span prefill();

  // The cycle, at position p = sequence.length(), with the anchor x_p known.
  void begin_cycle();
  Span draft();                            // 1. Draft: [x_p, MASK, ...] in the diffusion view
  void take_drafts(const HeadRows& rows);  //    d_1, d_2, ... from its rows
  Span verify();                           // 2. Verify: [x_p, d_1, ..., d_n] in the AR view
  Status accept(const HeadRows& rows);     // 3. Accept: the longest prefix the AR view agrees to
  void keep_leftover();

  bool by_rejection() const;
  Span span(std::span<const int32_t> tokens, View view, int logits_begin) const;
  const RowContext* context() const { return context_ ? &*context_ : nullptr; }
  std::span<const float> adjusted(const HeadRows& rows, int i);
  bool take_draft(const HeadRows& rows, int i, int position);
  int32_t next_token(const HeadRows& rows, int i, int position);
  bool emit(int32_t token);  // false when it is the last

  const ModelConfig* config_;
  KvSequence* sequence_;
  std::span<const int32_t> prompt_;
  Policy* policy_;
  DecodeParams params_;
  std::optional<RowContext> context_;  // of the tokens so far, where the parameters want one
  std::vector<float> adjusted_;        // a row; rejection rule only

  Phase phase_ = Phase::kPrefill;
  int32_t anchor_ = -1;               // the last emitted token, whose keys are not yet cached
  std::vector<int32_t> block_;        // tokens of the span of the current pass
  std::vector<int32_t> drafts_;       // d_1, d_2, ... of the last block, from the anchor on
  std::vector<float> probabilities_;  // of the drafts, for the policy
  int misses_ = 0;                    // drafts of the block that were wrong, of those before
  int verified_ = 0;                  // n: drafts that the current cycle verifies
  std::vector<Distribution> draft_distributions_;  // what each was drawn from; rejection rule only
  std::vector<int32_t> emitted_;                   // by the last take()
  int drafted_ = 0;                                // in the cycle that emitted
  int accepted_ = 0;                               // of those
  int generated_ = 0;                              // tokens emitted since the prompt
  std::deque<double> expectations_;                // accepted drafts, of each cycle in flight
  DecodeCounts counts_;
};

}  // namespace orthrus
