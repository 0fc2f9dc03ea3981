#include "decode/decoder.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <optional>
#include <utility>

#include "decode/draft_vocabulary.h"
#include "decode/logprobs.h"
#include "kernels/accept.h"

namespace orthrus {
namespace {

std::span<const float> row_of(const HeadRows& rows, int i) {
  return {rows.logits.row(i), static_cast<size_t>(rows.logits.cols)};
}

}  // namespace

Decoder::Decoder(const ModelConfig& config, KvSequence& sequence, std::span<const int32_t> prompt,
                 Policy& policy, DecodeParams params)
    : config_(&config),
      sequence_(&sequence),
      tokens_(prompt.begin(), prompt.end()),
      prompt_length_(static_cast<int>(prompt.size())),
      policy_(&policy),
      params_(std::move(params)) {
  // The tokens that end a text stand with the chat formats' own, behind those of texts.
  for (const int32_t id : config.eos_token_ids) special_ = std::min(special_, id);
  // Never more than a block, or what is looked up: decoding allocates nothing of this later.
  const auto most = static_cast<size_t>(params_.block_size);
  const size_t rows = params_.lookup ? std::max<size_t>(most, Lookup::kMostDrafts + 1) : most;
  tokens_.reserve(prompt.size() + static_cast<size_t>(params_.max_tokens));
  block_.reserve(rows);
  drafts_.reserve(most);
  probabilities_.reserve(most);
  emitted_.reserve(rows);
  counts_.drafted.resize(most);
  counts_.verified.resize(std::max(most, static_cast<size_t>(params_.tree_nodes)));
  counts_.leftover.resize(most);
  if (params_.lookup) counts_.lookup.resize(Lookup::kMostDrafts + 1);
}

Span Decoder::next(int most_prompt_tokens) {
  // Not before it is needed: many may wait, and it has a count for each token of the vocabulary.
  if (!context_ && generated_ == 0 && RowContext::wanted(params_.sampling)) {
    context_.emplace(params_.sampling, tokens_, config_->vocab_size, params_.max_tokens);
  }
  if (phase_ == Phase::kCycle) begin_cycle();
  switch (phase_) {
    case Phase::kPrefill:
      return prefill(most_prompt_tokens);
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
  logprobs_.clear();
  switch (phase_) {
    case Phase::kPrefill:
      ++counts_.prefill_passes;
      if (params_.prompt_logprobs && anchor_ < 0 && !take_prompt_logprobs(rows)) {
        phase_ = Phase::kDone;
        return Status::kNonFiniteLogits;
      }
      sequence_->commit(prefilling_);
      if (sequence_->length() < prefill_end()) return Status::kOk;
      if (anchor_ >= 0) {
        phase_ = Phase::kCycle;
        return Status::kOk;
      }
      return accept(rows, sequence_->length() - 1);  // no drafts: the last row selects an anchor
    case Phase::kDraft:
      ++counts_.diffusion_passes;
      by_trees() ? take_tree(rows) : take_drafts(rows);
      return Status::kOk;
    case Phase::kVerify:
      ++counts_.ar_passes;
      return accept(rows, sequence_->length());
    case Phase::kCycle:
    case Phase::kDone:
      break;
  }
  return Status::kOk;
}

// How far keys and values are computed before decoding goes on: those of the anchor are not.
int Decoder::prefill_end() const {
  return anchor_ < 0 ? prompt_length_ : static_cast<int>(tokens_.size()) - 1;
}

Span Decoder::prefill(int most_tokens) {
  // Whole rows of logits are held for each token whose probability is asked for.
  constexpr int kMostLogits = 64;
  const bool scores = params_.prompt_logprobs && anchor_ < 0;
  const int length = sequence_->length(), rest = prefill_end() - length;
  prefilling_ = std::min({rest, params_.prefill_chunk, most_tokens});
  if (scores) prefilling_ = std::min(prefilling_, kMostLogits);
  const bool selects = prefilling_ == rest && anchor_ < 0;
  const auto chunk =
      std::span(tokens_).subspan(static_cast<size_t>(length), static_cast<size_t>(prefilling_));
  Span s = span(chunk, View::kAutoregressive, scores ? 0 : prefilling_ - (selects ? 1 : 0));
  if (scores) s.output = HeadOutput::kLogits;
  return s;
}

void Decoder::start_again() {
  drafts_.clear();
  probabilities_.clear();
  flights_.clear();
  tree_.clear();
  found_ = {};
  of_found_.reset();
  chain_ = {};
  if (anchor_ < 0) prompt_logprobs_.clear();
  phase_ = Phase::kPrefill;
}

// Row i predicts the token after its own. False when a logit is not finite.
bool Decoder::take_prompt_logprobs(const HeadRows& rows) {
  for (int i = 0; i < rows.rows(); ++i) {
    const int next = sequence_->length() + i + 1;
    if (next == prompt_length_) break;
    prompt_logprobs_.push_back(token_logprobs(row_of(rows, i), tokens_[static_cast<size_t>(next)],
                                              *params_.prompt_logprobs));
    if (std::isnan(prompt_logprobs_.back().chosen.logprob)) return false;
  }
  return true;
}

// The rejection rule wants whole distributions; otherwise the pass chooses tokens.
bool Decoder::by_rejection() const {
  return params_.accept == AcceptRule::kRejection && !params_.sampling.greedy();
}

Span Decoder::span(std::span<const int32_t> tokens, View view, int logits_begin) const {
  HeadOutput output = HeadOutput::kChoice;
  if (by_rejection() || (params_.logprobs && view == View::kAutoregressive)) {
    output = HeadOutput::kLogits;
  } else if (view == View::kDiffusion && by_trees()) {
    output = HeadOutput::kCandidates;
  } else if (view == View::kDiffusion && policy_->needs_probabilities()) {
    output = HeadOutput::kChoiceAndProbability;
  }
  const int rows = static_cast<int>(tokens.size());
  return {sequence_, tokens, view, logits_begin, rows, output, &params_.sampling, context()};
}

// Row i, for its place behind all that was emitted.
std::span<const float> Decoder::adjusted(const HeadRows& rows, int i) {
  const std::span<const float> row = row_of(rows, i);
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
  CyclePlan plan;
  if (of_found_) {
    plan = *std::exchange(of_found_, std::nullopt);
  } else {
    look_up();
    plan = policy_->plan(
        most, {std::span(probabilities_).first(static_cast<size_t>(left)), misses_}, found());
  }
  const int count = std::clamp(plan.drafts, 0, most);
  tree_.clear();
  draft_distributions_.clear();
  drafting_ = count;
  if (count > 0) {
    block_.assign(static_cast<size_t>(count), config_->mask_token_id);
    phase_ = Phase::kDraft;
    return;
  }
  looked_up_ = plan.lookup > 0;
  verified_ =
      looked_up_ ? std::clamp(plan.lookup, 0, found().drafts) : std::clamp(plan.leftover, 0, left);
  chain_ = (looked_up_ ? found_.tokens : std::span<const int32_t>(drafts_))
               .first(static_cast<size_t>(verified_));
  expected_accepted_ = verified_ > 0 ? plan.expected_accepted : 0;
  phase_ = Phase::kVerify;
}

// Where nobody asks nothing is made for it.
void Decoder::look_up() {
  if (!params_.lookup) return;
  if (!lookup_) lookup_.emplace(prompt_length_ + params_.max_tokens);
  found_ = lookup_->find(tokens_, params_.max_tokens - generated_ - 1);
}

// d drafts take d rows, of which the last predicts d_d.
Span Decoder::draft() {
  block_[0] = anchor_;
  Span s = span(block_, View::kDiffusion, 0);
  s.draft_vocabulary = draft_vocabulary(tokens_, special_, config_->vocab_size);
  return s;
}

void Decoder::take_drafts(const HeadRows& rows) {
  const int p = sequence_->length();
  drafts_.clear();
  probabilities_.clear();
  misses_ = 0;
  for (int i = 0; i < rows.rows(); ++i) {
    if (!take_draft(rows, i, p + i + 1)) break;  // as bad as they like, but tokens
  }
  const Verification chosen = policy_->verified(probabilities_);
  verified_ = std::clamp(chosen.drafts, 0, static_cast<int>(drafts_.size()));
  chain_ = std::span(drafts_).first(static_cast<size_t>(verified_));
  if (!draft_distributions_.empty()) {
    draft_distributions_.resize(static_cast<size_t>(verified_));
  }
  expected_accepted_ = chosen.expected_accepted;
  phase_ = Phase::kVerify;
}

// The likeliest chain is kept, as a block's drafts are; the tree is for this cycle.
void Decoder::take_tree(const HeadRows& rows) try {
  drafts_.clear();
  probabilities_.clear();
  misses_ = 0;
  verified_ = 0;
  chain_ = {};
  expected_accepted_ = 0;
  phase_ = Phase::kVerify;
  std::vector<NextToken> next;
  const auto next_of = [&](int32_t before, int row) -> std::span<const NextToken> {
    next_tokens(rows.candidates[static_cast<size_t>(row)], before, params_.sampling, rows.pairs,
                next);
    return next;
  };
  int32_t before = anchor_;
  for (int i = 0; i < rows.rows(); ++i) {
    const auto tokens = next_of(before, i);
    if (tokens.empty()) break;  // as bad as they like, but tokens
    before = tokens.front().token;
    drafts_.push_back(before);
    probabilities_.push_back(tokens.front().confidence);
  }
  const auto children = [&](int32_t token, int row, std::vector<DraftChild>& out) {
    for (const NextToken& child : next_of(token, row)) {
      const double acceptance = policy_->acceptance(child.confidence, static_cast<int>(out.size()));
      out.push_back({child.token, child.confidence, acceptance});
    }
  };
  nodes_ = likeliest_nodes(anchor_, static_cast<int>(drafts_.size()), params_.tree_nodes - 1,
                           children, [&](std::span<const DraftNode> nodes, double reached) {
                             return policy_->goes_on(nodes, reached);
                           });
  const Verification chosen = policy_->verified_tree(probabilities_, nodes_);
  nodes_.resize(static_cast<size_t>(std::clamp(chosen.drafts, 0, static_cast<int>(nodes_.size()))));
  tree_.make(anchor_, nodes_);
  verified_ = static_cast<int>(nodes_.size());
  expected_accepted_ = chosen.expected_accepted;
} catch (const std::bad_alloc&) {  // of many candidates: a plain step needs less
  tree_.clear();
}

Span Decoder::prune() {
  sequence_->take_branch(std::nullopt);
  tree_.prune();
  // The trunk's nodes are further on in the list than in the trunk, or in the same place.
  for (size_t i = 0; i < tree_.nodes.size(); ++i) {
    nodes_[i] = nodes_[static_cast<size_t>(tree_.nodes[i])];
    nodes_[i].parent = static_cast<int>(i) - 1;
    tree_.nodes[i] = static_cast<int>(i);
  }
  nodes_.resize(tree_.nodes.size());
  verified_ = static_cast<int>(nodes_.size());
  if (expected_accepted_ > 0) {  // else the policy has no idea
    expected_accepted_ = 0;
    for (const DraftNode& node : nodes_) expected_accepted_ += node.reached;
  }
  return verify();
}

Span Decoder::verify() {
  if (!tree_.empty()) {
    Span s = span(tree_.tokens, View::kAutoregressive, 0);
    s.branches = tree_.branches;
    return s;
  }
  block_.assign(1, anchor_);
  block_.insert(block_.end(), chain_.begin(), chain_.end());
  return span(block_, View::kAutoregressive, 0);
}

Status Decoder::accept(const HeadRows& rows, int p) {
  const bool prefill = phase_ == Phase::kPrefill;
  const int n = prefill ? 0 : verified_;
  const int first = rows.rows() - n - 1;  // row of those that choose: of a prompt's the last one
  const ChainOfDrafts chain{chain_.data(), n};
  bool more = true;
  int last = 0;  // row of those that are accepted, the anchor's to begin with
  path_.clear();
  const Acceptance result = accept_path(
      [&](int row) {
        const int depth = depth_of(tree_.branches, row);
        return next_token(rows, first + row, p + depth + 1, depth);
      },
      [&](int row, int32_t y) {
        const int child = tree_.empty() ? chain(row, y) : tree_.child(row, y);
        if (child < 0) return child;
        if (!tree_.empty()) path_.push_back(tree_.nodes[static_cast<size_t>(child) - 1]);
        return last = child;
      },
      [&](int32_t y) {
        if (params_.logprobs) {
          logprobs_.push_back(token_logprobs(row_of(rows, first + last), y, *params_.logprobs));
        }
        anchor_ = y;
        return more = emit(y);
      });
  if (result.failed) {
    phase_ = Phase::kDone;
    return Status::kNonFiniteLogits;
  }
  const Outcome outcome{n, result.accepted, result.emitted == result.accepted};
  cycle_ = {prefill ? DraftSource::kNone : source(), prefill ? 0 : drafting_, n, result.accepted,
            tree_.empty() ? outcome.compared() : judged(outcome)};
  note_ranks();
  if (!prefill) {
    if (tree_.empty()) {
      policy_->observe_accepted(outcome);
    } else {
      policy_->observe_path(nodes_, path_, outcome.ended);
    }
    judge_found();
    count_cycle();
    sequence_->take_branch(tree_.branch_of(last));
    sequence_->commit(result.emitted);
  }
  if (more) {
    keep_leftover();
    phase_ = Phase::kCycle;
  } else {
    phase_ = Phase::kDone;
  }
  return Status::kOk;
}

// In so many places a node was compared: behind the path there may be none.
int Decoder::judged(const Outcome& outcome) const {
  const bool any = std::ranges::any_of(nodes_, [&](const auto& node) { return behind_path(node); });
  return any ? outcome.compared() : outcome.accepted;
}

// Of a tree's nodes that were accepted.
void Decoder::note_ranks() {
  ranks_.clear();
  for (const int node : path_) ranks_.push_back(nodes_[static_cast<size_t>(node)].rank);
}

DraftSource Decoder::source() const {
  if (drafting_ > 0) return by_trees() ? DraftSource::kTree : DraftSource::kBlock;
  if (verified_ == 0) return DraftSource::kNone;
  return looked_up_ ? DraftSource::kLookup : DraftSource::kLeftover;
}

void Decoder::count_cycle() {
  const auto drafted = static_cast<size_t>(drafting_), verified = static_cast<size_t>(verified_);
  if (drafting_ > 0) {
    ++counts_.verified[verified];
  } else if (verified_ > 0) {
    ++(looked_up_ ? counts_.lookup : counts_.leftover)[verified];
  }
  if (drafting_ > 0 || verified_ == 0) ++counts_.drafted[drafted];
  if (verified_ > 0 || (drafting_ > 0 && !drafts_.empty())) ++counts_.cycles;
  counts_.expected_accepted += expected_accepted_;
  counts_.accepted += cycle_.accepted;
}

// The block's drafts for positions beyond the new anchor. The block knew the old anchor alone, and
// a draft at most the one before it, so what was emitted in between may have made them wrong or
// not.
void Decoder::keep_leftover() {
  const size_t gone = std::min(emitted_.size(), drafts_.size());
  for (size_t i = 0; i < gone; ++i) misses_ += drafts_[i] != emitted_[i] ? 1 : 0;
  drafts_.erase(drafts_.begin(), drafts_.begin() + static_cast<std::ptrdiff_t>(gone));
  probabilities_.erase(probabilities_.begin(),
                       probabilities_.begin() + static_cast<std::ptrdiff_t>(gone));
}

// What came tells of what was found, verified or not.
void Decoder::judge_found() {
  if (found_.tokens.empty()) return;
  const size_t both = std::min(found_.tokens.size(), emitted_.size());
  const auto drafts = found_.tokens.first(both);
  const auto right =
      static_cast<size_t>(std::ranges::mismatch(drafts, emitted_).in1 - drafts.begin());
  policy_->observe_found(found(), static_cast<int>(right), right < both);
  found_ = {};
}

CycleStart Decoder::begin_cycles() {
  flights_.clear();
  return {.sequence = sequence_,
          .anchor = anchor_,
          .most_tokens = params_.max_tokens - generated_,
          .block_size = params_.block_size,
          .sampling = &params_.sampling,
          .context = context(),
          .stop_token_ids = params_.stop_token_ids};
}

// Each cycle in flight emits a token at least.
CycleRequest Decoder::plan_cycle() {
  const int left = params_.max_tokens - generated_ - static_cast<int>(flights_.size());
  if (left <= 0) return {};
  const int most = std::min(params_.block_size, left) - 1;
  const int most_nodes = by_trees() ? params_.tree_nodes - 1 : 0;
  WholePlan plan = policy_->plan_whole(most, most_nodes);
  plan.drafts = std::clamp(plan.drafts, 0, most);
  plan.nodes = plan.drafts > 0 ? std::clamp(plan.nodes, 0, most_nodes) : 0;
  const CycleRequest request{plan.drafts, plan.nodes, plan.acceptances};
  plan.acceptances = nullptr;  // which the next plan may change
  flights_.push_back(plan);
  return request;
}

bool Decoder::prefers_pass() try {
  if (!params_.lookup) return false;
  look_up();
  const int most = std::min(params_.block_size, params_.max_tokens - generated_) - 1;
  of_found_ = policy_->plan_found(most, by_trees() ? params_.tree_nodes - 1 : 0, found());
  return of_found_.has_value();
} catch (const std::bad_alloc&) {  // of the index: cycles need none
  return false;
}

int Decoder::in_flight() const {
  int positions = 0;
  for (const WholePlan& flight : flights_) positions += flight.drafts + 1;
  return std::min(positions, params_.max_tokens - generated_);
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
  WholePlan plan = flights_.front();
  flights_.pop_front();
  plan.drafts = result.drafted;
  counts_.expected_accepted += plan.expected_accepted;
  nodes_.clear();
  path_.clear();
  const Outcome outcome{result.verified, result.accepted,
                        static_cast<int>(result.tokens.size()) == result.accepted};
  cycle_ = {result.drafted > 0 ? DraftSource::kBlock : DraftSource::kNone, result.drafted,
            result.verified, result.accepted, outcome.compared()};
  bool more = result.status == Status::kOk;
  if (!result.tree.empty()) {
    take_path(result);
    cycle_.source = DraftSource::kTree;
    cycle_.judged = judged(outcome);
    if (more) policy_->observe_whole_tree(plan, nodes_, path_, outcome.ended);
  } else if (more) {
    policy_->observe_whole(plan, outcome);
  }
  note_ranks();
  for (const int32_t token : result.tokens) {
    more = emit(token);
    anchor_ = token;
  }
  judge_found();
  of_found_.reset();
  sequence_->commit(static_cast<int>(result.tokens.size()));
  phase_ = more ? Phase::kCycle : Phase::kDone;
  return result.status;
}

// The nodes of a tree that a device has grown, and those of them that it accepted.
void Decoder::take_path(const CycleResult& result) {
  for (const TreeNode& node : result.tree) {
    const DraftNode root{.depth = 0, .reached = 1};
    const DraftNode& parent = node.parent < 0 ? root : nodes_[static_cast<size_t>(node.parent)];
    const double acceptance = policy_->acceptance(node.confidence, node.rank);
    nodes_.push_back({.token = node.token,
                      .parent = node.parent,
                      .depth = parent.depth + 1,
                      .rank = node.rank,
                      .confidence = node.confidence,
                      .acceptance = acceptance,
                      .reached = parent.reached * acceptance});
  }
  for (const int32_t token : result.tokens.first(static_cast<size_t>(result.accepted))) {
    const auto next = std::ranges::find_if(
        nodes_, [&](const DraftNode& node) { return behind_path(node) && node.token == token; });
    path_.push_back(static_cast<int>(next - nodes_.begin()));
  }
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
int32_t Decoder::next_token(const HeadRows& rows, int row, int position, int i) {
  if (rows.logits.rows == 0) return rows.choices[static_cast<size_t>(row)].id;
  const SamplingParams& sampling = params_.sampling;
  const std::span<const float> logits = adjusted(rows, row);
  const auto draft = static_cast<size_t>(i);
  if (!by_rejection() || draft >= draft_distributions_.size()) {
    return select(logits, position, sampling).id;
  }
  const std::vector<Candidate> candidates = filter(logits, sampling);
  if (candidates.empty()) return -1;
  return accept_or_resample(drafts_[draft], draft_distributions_[draft], distribution(candidates),
                            sampling.seed, position);
}

bool Decoder::emit(int32_t token) {
  emitted_.push_back(token);
  tokens_.push_back(token);
  if (context_) context_->append(token);
  ++generated_;
  const auto& stops = params_.stop_token_ids;
  return generated_ < params_.max_tokens &&
         std::find(stops.begin(), stops.end(), token) == stops.end();
}

}  // namespace orthrus
