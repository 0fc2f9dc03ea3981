// What a forward pass takes and gives: a ragged batch of spans, in either view.
#pragma once

#include <span>

#include "base/view.h"
#include "cache/kv_cache.h"
#include "kernels/ops.h"
#include "orthrus/sampling.h"

namespace orthrus {

// What a span wants of the LM head.
enum class HeadOutput : uint8_t {
  kLogits,                // all logits
  kChoice,                // the token that `sampling` chooses for the position after the row's
  kChoiceAndProbability,  // and its probability
};

// Consecutive tokens of one sequence, at positions sequence->length() and on.
//
// In the AR view they are causal, and the pass appends their keys and values to the sequence. In
// the diffusion view they are a block: each sees the sequence's cache and the whole block, and
// nothing is kept. A pass holds at most one span of a sequence.
struct Span {
  KvSequence* sequence = nullptr;
  std::span<const int32_t> tokens;
  View view = View::kAutoregressive;
  int logits_begin = 0;  // the LM head runs for the rows [logits_begin, logits_end) of the span
  int logits_end = 0;
  HeadOutput output = HeadOutput::kLogits;
  SamplingParams sampling{};  // of choices, with the noise of Stream::kSelect
};

// What the LM head gave of the rows that a span asked for, in the form that it asked for.
struct HeadRows {
  ConstRows logits;                 // [logits_end - logits_begin][vocab_size], or none
  std::span<const Choice> choices;  // [logits_end - logits_begin], or none

  int rows() const { return logits.rows + static_cast<int>(choices.size()); }
};

}  // namespace orthrus
