#include "decode/decoder.h"

#include <algorithm>
#include <utility>

namespace orthrus {

Decoder::Decoder(const ModelConfig& config, KvSequence& sequence, std::span<const int32_t> prompt,
                 Policy& policy, DecodeParams params)
    : config_(&config),
      sequence_(&sequence),
      prompt_(prompt),
      policy_(&policy),
      params_(std::move(params)) {
  // Never more than a block: decoding allocates nothing of this later.
  const auto most = static_cast<size_t>(params_.block_size);
  if (RowContext::wanted(params_.sampling)) {
    context_.emplace(params_.sampling, prompt, config.vocab_size, params_.max_tokens);
  }
  block_.reserve(most);
  drafts_.reserve(most);
  probabilities_.reserve(most);
  emitted_.reserve(most);
  counts_.drafted.resize(most);
  counts_.verified.resize(most);
  counts_.leftover.resize(most);
}

Span Decoder::next() {
  if (phase_ == Phase::kCycle) begin_cycle();
  switch (phase_) {
    case Phase::kPrefill:
      return prefill();
    case Phase::kDraft:
      return draft();
    case Phase::kVerify:
      return verify();
    case Phase::kCycle:
    case Phase::kDone:
      break;
  }
  return {};
}

Status Decoder::take(const HeadRows& rows) {
  emitted_.clear();
  switch (phase_) {
    case Phase::kPrefill:
      ++counts_.prefill_passes;
      if (sequence_->length() < static_cast<int>(prompt_.size())) return Status::kOk;
      return accept(rows);  // of no drafts: the last row selects the first anchor
    case Phase::kDraft:
      ++counts_.diffusion_passes;
      take_drafts(rows);
      return Status::kOk;
    case Phase::kVerify:
      ++counts_.ar_passes;
      return accept(rows);
    case Phase::kCycle:
    case Phase::kDone:
      break;
  }
  return Status::kOk;
}

Span Decoder::prefill() {
  const auto rest = prompt_.subspan(static_cast<size_t>(sequence_->length()));
  const auto chunk = rest.first(std::min(rest.size(), static_cast<size_t>(params_.prefill_chunk)));
  const int rows = static_cast<int>(chunk.size());
  return span(chunk, View::kAutoregressive, chunk.size() == rest.size() ? rows - 1 : rows);
}

// The rejection rule wants whole distributions; otherwise the pass chooses tokens.
bool Decoder::by_rejection() const {
  return params_.accept == AcceptRule::kRejection && !params_.sampling.greedy();
}

Span Decoder::span(std::span<const int32_t> tokens, View view, int logits_begin) const {
  HeadOutput output = HeadOutput::kChoice;
  if (by_rejection()) {
    output = HeadOutput::kLogits;
  } else if (view == View::kDiffusion && policy_->needs_probabilities()) {
    output = HeadOutput::kChoiceAndProbability;
  }
  const int rows = static_cast<int>(tokens.size());
  return {sequence_, tokens, view, logits_begin, rows, output, &params_.sampling, context()};
}

// Row i of the rejection rule's, for its place behind all that was emitted.
std::span<const float> Decoder::adjusted(const HeadRows& rows, int i) {
  const std::span<const float> row(rows.logits.row(i), static_cast<size_t>(rows.logits.cols));
  if (!context_) return row;
  adjusted_.assign(row.begin(), row.end());
  context_->adjust(adjusted_, {});
  return adjusted_;
}

// A cycle emits at most one token more than it drafts, so at the token limit the block shortens;
// where nothing is drafted the cycle is a plain AR step: a verify of the anchor alone.
void Decoder::begin_cycle() {
  const int most = std::min(params_.block_size, params_.max_tokens - generated_) - 1;
  const int left = std::min(static_cast<int>(drafts_.size()), most);
  const CyclePlan plan =
      policy_->plan(most, {std::span(probabilities_).first(static_cast<size_t>(left)), misses_});
  const int count = std::clamp(plan.drafts, 0, most);
  draft_distributions_.clear();
  if (count > 0) {
    ++counts_.drafted[static_cast<size_t>(count)];
    block_.assign(static_cast<size_t>(count), config_->mask_token_id);
    phase_ = Phase::kDraft;
    return;
  }
  verified_ = std::clamp(plan.leftover, 0, left);
  if (verified_ > 0) {
    ++counts_.cycles;
    ++counts_.leftover[static_cast<size_t>(verified_)];
    counts_.expected_accepted += plan.expected_accepted;
  } else {
    ++counts_.drafted[0];
  }
  phase_ = Phase::kVerify;
}

// d drafts take d rows, of which the last predicts d_d.
Span Decoder::draft() {
  block_[0] = anchor_;
  return span(block_, View::kDiffusion, 0);
}

void Decoder::take_drafts(const HeadRows& rows) {
  const int p = sequence_->length();
  drafts_.clear();
  probabilities_.clear();
  misses_ = 0;
  for (int i = 0; i < rows.rows(); ++i) {
    if (!take_draft(rows, i, p + i + 1)) break;  // as bad as they like, but tokens
  }
  if (!drafts_.empty()) ++counts_.cycles;
  const Verification chosen = policy_->verified(probabilities_);
  verified_ = std::clamp(chosen.drafts, 0, static_cast<int>(drafts_.size()));
  if (!draft_distributions_.empty()) {
    draft_distributions_.resize(static_cast<size_t>(verified_));
  }
  ++counts_.verified[static_cast<size_t>(verified_)];
  counts_.expected_accepted += chosen.expected_accepted;
  phase_ = Phase::kVerify;
}

Span Decoder::verify() {
  block_.assign(1, anchor_);
  block_.insert(block_.end(), drafts_.begin(), drafts_.begin() + verified_);
  return span(block_, View::kAutoregressive, 0);
}

Status Decoder::accept(const HeadRows& rows) {
  const int n = verified_;
  const int p = sequence_->length() - n - 1;  // where the verify pass began
  drafted_ = n;
  accepted_ = 0;
  bool more = true;
  for (int i = 0; more; ++i) {
    const int32_t y = next_token(rows, i, p + i + 1);
    if (y < 0) {
      // What was selected before stands, as in plain decoding, which fails one step later.
      if (!emitted_.empty()) break;
      phase_ = Phase::kDone;
      return Status::kNonFiniteLogits;
    }
    more = emit(y);
    anchor_ = y;
    if (i == n || y != drafts_[static_cast<size_t>(i)]) break;
    ++accepted_;
  }
  counts_.accepted += accepted_;
  policy_->observe_accepted(accepted_);
  sequence_->crop(p + static_cast<int>(emitted_.size()));
  if (more) {
    keep_leftover();
    phase_ = Phase::kCycle;
  } else {
    phase_ = Phase::kDone;
  }
  return Status::kOk;
}

// The block's drafts for positions beyond the new anchor. They were made knowing the old anchor
// alone, none of each other, so what was emitted in between may have made them wrong or not.
void Decoder::keep_leftover() {
  const size_t gone = std::min(emitted_.size(), drafts_.size());
  if (gone > 0 && drafts_[gone - 1] != emitted_[gone - 1]) ++misses_;
  drafts_.erase(drafts_.begin(), drafts_.begin() + static_cast<std::ptrdiff_t>(gone));
  probabilities_.erase(probabilities_.begin(),
                       probabilities_.begin() + static_cast<std::ptrdiff_t>(gone));
}

CycleStart Decoder::begin_cycles() {
  expectations_.clear();
  return {.sequence = sequence_,
          .anchor = anchor_,
          .most_tokens = params_.max_tokens - generated_,
          .block_size = params_.block_size,
          .sampling = &params_.sampling,
          .context = context(),
          .stop_token_ids = params_.stop_token_ids};
}

// Each cycle in flight emits a token at least.
int Decoder::plan_cycle(int in_flight) {
  const int left = params_.max_tokens - generated_ - in_flight;
  if (left <= 0) return -1;
  const int most = std::min(params_.block_size, left) - 1;
  const Verification plan = policy_->plan_whole(most);
  expectations_.push_back(plan.expected_accepted);
  return std::clamp(plan.drafts, 0, most);
}

Status Decoder::take_cycle(const CycleResult& result) {
  emitted_.clear();
  drafts_.clear();  // none are left over
  probabilities_.clear();
  ++counts_.ar_passes;
  ++counts_.drafted[static_cast<size_t>(result.drafted)];
  if (result.drafted > 0) {
    ++counts_.diffusion_passes;
    ++counts_.verified[static_cast<size_t>(result.verified)];
    if (result.verified > 0) ++counts_.cycles;
  }
  counts_.accepted += result.accepted;
  counts_.expected_accepted += expectations_.front();
  expectations_.pop_front();
  drafted_ = result.verified;
  accepted_ = result.accepted;
  policy_->observe_whole(result.drafted, result.accepted);
  bool more = result.status == Status::kOk;
  for (const int32_t token : result.tokens) {
    more = emit(token);
    anchor_ = token;
  }
  phase_ = more ? Phase::kCycle : Phase::kDone;
  return result.status;
}

// Appends d_{i+1}, which row i predicts; false when a logit is not finite.
bool Decoder::take_draft(const HeadRows& rows, int i, int position) {
  if (!by_rejection()) {
    const Choice& choice = rows.choices[static_cast<size_t>(i)];
    if (choice.id < 0) return false;
    drafts_.push_back(choice.id);
    probabilities_.push_back(choice.probability);
    return true;
  }
  const std::vector<Candidate> candidates = filter(adjusted(rows, i), params_.sampling);
  if (candidates.empty()) return false;
  draft_distributions_.push_back(distribution(candidates));
  drafts_.push_back(draw(candidates, params_.sampling.seed, Stream::kDraft, position));
  probabilities_.push_back(policy_->needs_probabilities() ? probability(candidates, drafts_.back())
                                                          : 0);
  return true;
}

// y_i: what the AR view selects after the anchor and the drafts d_1..d_i. It is d_{i+1} exactly
// when that draft is accepted. -1 when a logit is not finite.
int32_t Decoder::next_token(const HeadRows& rows, int i, int position) {
  if (!by_rejection()) return rows.choices[static_cast<size_t>(i)].id;
  const SamplingParams& sampling = params_.sampling;
  const std::span<const float> row = adjusted(rows, i);
  const auto draft = static_cast<size_t>(i);
  if (draft >= draft_distributions_.size()) return select(row, position, sampling).id;
  const std::vector<Candidate> candidates = filter(row, sampling);
  if (candidates.empty()) return -1;
  return accept_or_resample(drafts_[draft], draft_distributions_[draft], distribution(candidates),
                            sampling.seed, position);
}

bool Decoder::emit(int32_t token) {
  emitted_.push_back(token);
  if (context_) context_->append(token);
  ++generated_;
  const auto& stops = params_.stop_token_ids;
  return generated_ < params_.max_tokens &&
         std::find(stops.begin(), stops.end(), token) == stops.end();
}

}  // namespace orthrus
