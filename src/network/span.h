// What a forward pass takes and gives: a ragged batch of spans, in either view.
#pragma once

#include <algorithm>
#include <limits>
#include <span>
#include <vector>

#include "base/view.h"
#include "cache/kv_sequence.h"
#include "kernels/ops.h"
#include "kernels/pairwise.h"
#include "kernels/row_context.h"
#include "orthrus/sampling.h"

namespace orthrus {

// What a span wants of the LM head.
enum class HeadOutput : uint8_t {
  kLogits,                // all logits, as they are
  kChoice,                // the token that `sampling` chooses for the position after the row's
  kChoiceAndProbability,  // and its probability
  kCandidates,            // of a diffusion span: the best few
};

inline const SamplingParams kGreedy{};

// Consecutive tokens of one sequence, at positions sequence->length() and on.
//
// In the AR view they are causal, and the pass writes their keys and values behind those of the
// sequence, where there must be room for them; whether they join it is for others to say. In the
// diffusion view they are a block: each sees the sequence's cache and the whole block, and nothing
// is kept. A pass holds at most one span of a sequence.
//
// In the AR view they may be a tree: then some of them branch off, and each row sees its own path,
// as if nothing else were there. The sequence has room for the trunk, and pages for these branches.
struct Span {
  const KvSequence* sequence = nullptr;
  std::span<const int32_t> tokens;
  View view = View::kAutoregressive;
  int logits_begin = 0;  // the LM head runs for the rows [logits_begin, logits_end) of the span
  int logits_end = 0;
  HeadOutput output = HeadOutput::kLogits;
  // Of choices: with the noise of Stream::kSelect, and where there is a context, from rows that it
  // has adjusted. It holds the anchor, or the whole prompt.
  const SamplingParams* sampling = &kGreedy;
  const RowContext* context = nullptr;
  std::span<const Branch> branches{};
  // Of a diffusion span's choices and candidates: tokens from this one on need not be looked at. A
  // backend may look at them all the same.
  int draft_vocabulary = std::numeric_limits<int>::max();

  // The rows that stand in the sequence's own pages.
  int trunk_rows() const {
    return branches.empty() ? static_cast<int>(tokens.size()) : branches.front().first_row;
  }
  int position(int i) const { return sequence->length() + depth_of(branches, i); }

  // Whether a choice is the largest logit of a row, which then needs not be stored.
  bool takes_top() const { return sampling->greedy() && context == nullptr; }

  // Of the AR view's row i, the tokens up to its own that the context does not hold: the drafts
  // that the row comes after. The diffusion view's rows have what is known: the anchor's context.
  int count_drafts_before(int i) const {
    return view == View::kDiffusion ? 0 : std::max(position(i) + 1 - context->length(), 0);
  }
  std::vector<int32_t> drafts_before(int i) const {
    std::vector<int32_t> drafts(static_cast<size_t>(count_drafts_before(i)));
    for (size_t left = drafts.size(); left-- > 0; i = parent_of(branches, i)) {
      drafts[left] = tokens[static_cast<size_t>(i)];
    }
    return drafts;
  }
};

// What the LM head gave of the rows that a span asked for, in the form that it asked for.
struct HeadRows {
  ConstRows logits;                       // [logits_end - logits_begin][vocab_size], or none
  std::span<const Choice> choices;        // [logits_end - logits_begin], or none
  std::span<const PairRow> candidates{};  // likewise
  PairTables pairs{};                     // of the candidates, where the heads have them

  int rows() const { return logits.rows + static_cast<int>(choices.size() + candidates.size()); }
};

}  // namespace orthrus
