#include "network/pass_plan.h"

#include <algorithm>
#include <limits>

#include "base/ceil_div.h"
#include "kernels/kv_layout.h"

namespace orthrus {

Status PassPlan::make(std::span<const Span> of, bool pairwise) {
  rows = full = top = {};
  spans.assign(of.size(), {});
  sampled.clear();
  contexts.clear();
  logits_rows = longest = block_pages = draft_vocabulary = 0;
  probability = false;
  int next_full = 0, next_top = 0;
  for (const View view : kBothViews) {
    for (size_t s = 0; s < of.size(); ++s) {
      const Span& span = of[s];
      if (span.view != view) continue;
      SpanRows& own = spans[s];
      const int count = static_cast<int>(span.tokens.size());
      const bool ar = view == View::kAutoregressive;
      if (ar && span.sequence->room() < span.trunk_rows()) return Status::kOutOfMemory;
      own.first_row = rows[view];
      own.logits = span.output == HeadOutput::kLogits;
      own.candidates = span.output == HeadOutput::kCandidates;
      own.chained = pairwise && !ar && !own.logits && !own.candidates;
      own.full = own.logits || own.candidates || own.chained || !span.takes_top();
      own.head_rows = span.logits_end - span.logits_begin;
      int& next = own.full ? next_full : next_top;
      own.first_head_row = next;
      next += own.head_rows;
      (own.full ? full : top)[view] += own.head_rows;
      rows[view] += count;
      longest = std::max(longest, span.sequence->length() + count);
      if (!ar) {
        block_pages += ceil_div(count, kPageSize);
        constexpr int kAll = std::numeric_limits<int>::max();
        draft_vocabulary = std::max(draft_vocabulary, own.logits ? kAll : span.draft_vocabulary);
      }
      if (own.head_rows == 0) continue;
      if (own.logits) {
        own.first_logits = logits_rows;
        logits_rows += own.head_rows;
      } else if (!own.full) {
        probability |= span.output == HeadOutput::kChoiceAndProbability;
      } else {
        if (span.context != nullptr) {
          own.context = static_cast<int>(contexts.size());
          contexts.push_back(span.context);
        }
        own.first_sampled = static_cast<int>(sampled.size());
        for (int i = 0; i < own.head_rows; ++i) {
          sampled.push_back({own.first_head_row + i, s, span.logits_begin + i});
        }
      }
    }
  }
  return Status::kOk;
}

}  // namespace orthrus
