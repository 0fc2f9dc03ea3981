// The decoding of one sequence: draft, verify, accept.
//
// A Decoder does not run passes. It says which span it wants in the next pass, and is given what
// was chosen in that span's rows; so any number of them, at whatever point of their cycles, share a
// pass.
#pragma once

#include <deque>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "decode/draft_tree.h"
#include "decode/lookup.h"
#include "decode/policy.h"
#include "decode/rejection.h"
#include "network/cycle.h"
#include "network/span.h"
#include "orthrus/config.h"
#include "orthrus/generation.h"

namespace orthrus {

struct DecodeParams {
  int block_size = 1;  // most tokens of a block, whatever the policy says
  int tree_nodes = 0;  // most nodes of a draft tree, its root included; 0: drafts are chains
  AcceptRule accept = AcceptRule::kMatch;
  bool lookup = false;  // the policy is also offered what the text itself has (lookup.h)
  SamplingParams sampling{};
  int max_tokens = 1;                     // to generate; the context must have room for them
  std::vector<int32_t> stop_token_ids{};  // generating one, which is emitted, ends the sequence
  int prefill_chunk = 1;                  // most prompt tokens of a pass
  std::optional<int> logprobs{};          // of each token, beside so many of the likeliest
  std::optional<int> prompt_logprobs{};   // likewise of the prompt's; all of it is then computed
};

struct DecodeCounts {
  int prefill_passes = 0;
  int ar_passes = 0;         // verify passes and plain steps
  int diffusion_passes = 0;  // draft passes
  int cycles = 0;            // of draft, leftover drafts or lookup drafts, verify and accept
  int accepted = 0;          // drafts that were accepted, in all cycles

  // What the policy chose: [d] cycles that drafted d tokens, of those [n] that verified n, and [n]
  // cycles that verified n leftover or n lookup drafts; drafted[0] is plain steps. And what it
  // expected of the verified ones.
  std::vector<int> drafted, verified, leftover, lookup;
  double expected_accepted = 0;
};

// What a cycle did, as Step tells it.
struct CycleRecord {
  DraftSource source = DraftSource::kNone;
  int made = 0;
  int verified = 0;
  int accepted = 0;
  int judged = 0;
};

class Decoder {
 public:
  // `sequence` may already hold the keys of a proper prefix of the prompt, and so it may whenever
  // the decoder is prefilling. Configuration, sequence and policy must outlive the decoder; the
  // parameters have been checked (engine/request.h).
  Decoder(const ModelConfig& config, KvSequence& sequence, std::span<const int32_t> prompt,
          Policy& policy, DecodeParams params);

  bool done() const { return phase_ == Phase::kDone; }
  bool prefilling() const { return phase_ == Phase::kPrefill; }
  // How far keys and values are computed before decoding begins, or goes on: those of the last
  // token emitted are not.
  int prefill_end() const;
  int cached() const { return sequence_->length(); }  // positions whose keys are in the cache

  // What to run next, of a prompt at most so many tokens; valid until take(). Not when done(). The
  // sequence must have room for an AR span when it runs: for its trunk, and pages for branches.
  Span next(int most_prompt_tokens = std::numeric_limits<int>::max());

  // In place of that span, which has branches: its trunk alone. Where there is no room for them.
  Span prune();

  // What the pass gave of that span. Commits to the sequence what is right, and emits tokens, none
  // after a draft or an unfinished prefill; valid until the next call. kNonFiniteLogits ends the
  // sequence.
  Status take(const HeadRows& rows);

  // The sequence has lost its keys, or some of them: they are computed again, and then decoding
  // goes on where it was.
  void start_again();

  // The prompt and what was emitted.
  std::span<const int32_t> tokens() const { return tokens_; }
  // In the order of the prompt, from its second token on, as far as it is computed; where asked
  // for.
  std::vector<TokenLogprobs>& prompt_logprobs() { return prompt_logprobs_; }

  // Whole cycles, which a device runs, in place of next() and take(): between cycles, unless the
  // host is to see the logits.
  bool can_cycle() const { return phase_ == Phase::kCycle && !wants_logits(); }
  CycleStart begin_cycles();
  CycleRequest plan_cycle();  // of the next one; no part in it where those in flight are the last
  // Positions that the cycles in flight may fill at most.
  int in_flight() const;
  bool flies() const { return !flights_.empty(); }
  Status take_cycle(const CycleResult& result);
  // Whether a pass is better than the next cycle, since the text itself has drafts for it, or had
  // some a few tokens ago: once no cycle is in flight, next() is that pass.
  bool prefers_pass();
  void leave_cycles() { flights_.clear(); }  // what is in flight does not count

  std::span<const int32_t> emitted() const { return emitted_; }
  std::span<const TokenLogprobs> logprobs() const { return logprobs_; }  // of these, if asked for

  // Of the cycle that emitted, or of none where the prefill did.
  const CycleRecord& cycle() const { return cycle_; }
  std::span<const int> ranks() const { return ranks_; }  // of a tree's accepted drafts

  const DecodeParams& params() const { return params_; }
  const DecodeCounts& counts() const { return counts_; }

 private:
  enum class Phase { kPrefill, kCycle, kDraft, kVerify, kDone };  // kCycle: one begins

  Span prefill(int most_tokens);

  // The cycle, at position p = sequence.length(), with the anchor x_p known.
  void begin_cycle();
  void look_up();
  Found found() const {
    return {static_cast<int>(found_.tokens.size()), found_.match, found_.near};
  }
  Span draft();                            // 1. Draft: [x_p, MASK, ...] in the diffusion view
  void take_drafts(const HeadRows& rows);  //    d_1, d_2, ... from its rows
  void take_tree(const HeadRows& rows);    //    or what they have to offer
  Span verify();                           // 2. Verify: [x_p, d_1, ..., d_n] in the AR view
  // 3. Accept: the longest prefix the AR view agrees to, after p positions
  Status accept(const HeadRows& rows, int p);
  DraftSource source() const;
  void count_cycle();  // once it is over: one that was cut short begins again
  void keep_leftover();
  void judge_found();

  void take_path(const CycleResult& result);
  bool behind_path(const DraftNode& node) const {
    return node.parent == (path_.empty() ? -1 : path_.back());
  }
  int judged(const Outcome& outcome) const;
  void note_ranks();

  bool by_rejection() const;
  bool by_trees() const { return params_.tree_nodes > 1 && !by_rejection(); }
  bool wants_logits() const { return by_rejection() || params_.logprobs; }
  bool take_prompt_logprobs(const HeadRows& rows);
  Span span(std::span<const int32_t> tokens, View view, int logits_begin) const;
  const RowContext* context() const { return context_ ? &*context_ : nullptr; }
  std::span<const float> adjusted(const HeadRows& rows, int i);
  bool take_draft(const HeadRows& rows, int i, int position);
  int32_t next_token(const HeadRows& rows, int row, int position, int i);
  bool emit(int32_t token);  // false when it is the last

  const ModelConfig* config_;
  KvSequence* sequence_;
  std::vector<int32_t> tokens_;  // prompt, and what was emitted
  int prompt_length_;
  Policy* policy_;
  DecodeParams params_;
  int32_t special_ = std::numeric_limits<int32_t>::max();  // texts have no tokens from here on
  std::optional<RowContext> context_;  // of the tokens so far, where the parameters want one
  std::vector<float> adjusted_;        // a row; rejection rule only

  Phase phase_ = Phase::kPrefill;
  int32_t anchor_ = -1;                // the last emitted token, whose keys are not yet cached
  std::vector<int32_t> block_;         // tokens of the span of the current pass
  std::vector<int32_t> drafts_;        // d_1, d_2, ... of the last block, from the anchor on
  std::vector<float> probabilities_;   // of the drafts, for the policy
  std::vector<DraftNode> nodes_;       // of a tree: those that the cycle verifies
  TreeRows tree_;                      // as rows; empty where it verifies a chain
  std::vector<int> path_;              // of the nodes, those that were accepted
  int misses_ = 0;                     // drafts of the block that were wrong, of those before
  std::optional<Lookup> lookup_;       // once it is asked
  LookupDrafts found_;                 // by it, for the current cycle
  std::optional<CyclePlan> of_found_;  // what the pass does that is preferred to a whole cycle
  int prefilling_ = 0;                 // prompt tokens of the span of the current pass
  int drafting_ = 0;                   // drafts that the current cycle makes
  int verified_ = 0;                   // n: those that it verifies
  std::span<const int32_t> chain_;     // they, where they are a chain, wherever they are from
  bool looked_up_ = false;             // from the text
  double expected_accepted_ = 0;       // of these
  std::vector<Distribution> draft_distributions_;  // what each was drawn from; rejection rule only
  std::vector<int32_t> emitted_;                   // by the last take()
  CycleRecord cycle_;                              // that emitted
  std::vector<int> ranks_;                         // of its accepted drafts, where they are a tree
  int generated_ = 0;                              // tokens emitted since the prompt
  std::deque<WholePlan> flights_;                  // of the cycles in flight
  std::vector<TokenLogprobs> logprobs_, prompt_logprobs_;
  DecodeCounts counts_;
};

}  // namespace orthrus
