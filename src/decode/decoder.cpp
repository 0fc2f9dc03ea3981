#include "decode/decoder.h"

#include <algorithm>
#include <utility>

namespace orthrus {

Decoder::Decoder(const ModelConfig& config, KvSequence& sequence, std::span<const int32_t> prompt,
                 DecodeParams params)
    : config_(&config), sequence_(&sequence), prompt_(prompt), params_(std::move(params)) {
  // Never more than a block: decoding allocates nothing of this later.
  const auto most = static_cast<size_t>(params_.block_size);
  block_.reserve(most);
  drafts_.reserve(most);
  emitted_.reserve(most);
}

Span Decoder::next() {
  switch (phase_) {
    case Phase::kPrefill:
      return prefill();
    case Phase::kDraft:
      return draft();
    case Phase::kVerify:
      return verify();
    case Phase::kDone:
      break;
  }
  return {};
}

Status Decoder::take(ConstRows logits) {
  emitted_.clear();
  switch (phase_) {
    case Phase::kPrefill:
      ++counts_.prefill_passes;
      if (sequence_->length() < static_cast<int>(prompt_.size())) return Status::kOk;
      return accept(logits);  // of no drafts: the last row selects the first anchor
    case Phase::kDraft:
      ++counts_.diffusion_passes;
      take_drafts(logits);
      return Status::kOk;
    case Phase::kVerify:
      ++counts_.ar_passes;
      return accept(logits);
    case Phase::kDone:
      break;
  }
  return Status::kOk;
}

Span Decoder::prefill() {
  const auto rest = prompt_.subspan(static_cast<size_t>(sequence_->length()));
  const auto chunk = rest.first(std::min(rest.size(), static_cast<size_t>(params_.prefill_chunk)));
  const int rows = static_cast<int>(chunk.size());
  const bool last = chunk.size() == rest.size();
  return {sequence_, chunk, View::kAutoregressive, last ? rows - 1 : rows, rows};
}

// A cycle emits at most one token more than it drafts, so at the token limit the block shortens;
// where nothing can be drafted the cycle is a plain AR step: a verify of the anchor alone.
void Decoder::begin_cycle() {
  const int size = std::min(params_.block_size, params_.max_tokens - generated_);
  block_.assign(static_cast<size_t>(size), config_->mask_token_id);
  drafts_.clear();
  draft_distributions_.clear();
  phase_ = size > 1 ? Phase::kDraft : Phase::kVerify;
}

Span Decoder::draft() {
  block_[0] = anchor_;
  // The last row would predict the token after the longest sequence this cycle can emit.
  return {sequence_, block_, View::kDiffusion, 0, static_cast<int>(block_.size()) - 1};
}

void Decoder::take_drafts(ConstRows logits) {
  const int p = sequence_->length();
  for (int i = 0; i < logits.rows; ++i) {
    const auto d = select_draft({logits.row(i), static_cast<size_t>(logits.cols)}, p + i + 1);
    if (!d) break;  // drafts may be as bad as they like, but must be tokens
    drafts_.push_back(*d);
  }
  if (!drafts_.empty()) ++counts_.cycles;
  phase_ = Phase::kVerify;
}

Span Decoder::verify() {
  block_.assign(1, anchor_);
  block_.insert(block_.end(), drafts_.begin(), drafts_.end());
  return {sequence_, block_, View::kAutoregressive, 0, static_cast<int>(block_.size())};
}

Status Decoder::accept(ConstRows logits) {
  const size_t n = drafts_.size();
  const int p = sequence_->length() - static_cast<int>(n) - 1;  // where the verify pass began
  drafted_ = static_cast<int>(n);
  accepted_ = 0;
  bool more = true;
  for (size_t i = 0; more; ++i) {
    const std::span<const float> row{logits.row(static_cast<int>(i)),
                                     static_cast<size_t>(logits.cols)};
    const auto y = select_next(row, p + static_cast<int>(i) + 1, i);
    if (!y) {
      // What was selected before stands, as in plain decoding, which fails one step later.
      if (!emitted_.empty()) break;
      phase_ = Phase::kDone;
      return Status::kNonFiniteLogits;
    }
    more = emit(*y);
    anchor_ = *y;
    if (i == n || *y != drafts_[i]) break;
    ++accepted_;
  }
  counts_.accepted += accepted_;
  sequence_->crop(p + static_cast<int>(emitted_.size()));
  if (more) {
    begin_cycle();
  } else {
    phase_ = Phase::kDone;
  }
  return Status::kOk;
}

std::optional<int32_t> Decoder::select_draft(std::span<const float> row, int position) {
  const SamplingParams& sampling = params_.sampling;
  if (params_.accept == AcceptRule::kMatch || sampling.greedy()) {
    return select(row, position, sampling);
  }
  const std::vector<Candidate> candidates = filter(row, sampling);
  if (candidates.empty()) return std::nullopt;
  draft_distributions_.push_back(distribution(candidates));
  return draw(candidates, sampling.seed, Stream::kDraft, position);
}

// y_i: what the AR view selects after the anchor and the drafts d_1..d_i. It is d_{i+1} exactly
// when that draft is accepted.
std::optional<int32_t> Decoder::select_next(std::span<const float> row, int position, size_t i) {
  if (i >= draft_distributions_.size()) return select(row, position, params_.sampling);
  const std::vector<Candidate> candidates = filter(row, params_.sampling);
  if (candidates.empty()) return std::nullopt;
  return accept_or_resample(drafts_[i], draft_distributions_[i], distribution(candidates),
                            params_.sampling.seed, position);
}

bool Decoder::emit(int32_t token) {
  emitted_.push_back(token);
  ++generated_;
  const auto& stops = params_.stop_token_ids;
  return generated_ < params_.max_tokens &&
         std::find(stops.begin(), stops.end(), token) == stops.end();
}

}  // namespace orthrus
