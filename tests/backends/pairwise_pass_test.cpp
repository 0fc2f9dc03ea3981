// A pass chooses the drafts of a network with a pairwise term one after the other.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <random>
#include <vector>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/select.h"
#include "support/fresh_seed.h"
#include "support/model.h"
#include "support/near_ties.h"
#include "support/temporary_directory.h"

namespace orthrus {
namespace {

using Rows = std::vector<std::vector<float>>;

Rows copy_of(ConstRows logits) {
  Rows rows;
  for (int i = 0; i < logits.rows; ++i) {
    rows.emplace_back(logits.row(i), logits.row(i) + logits.cols);
  }
  return rows;
}

// What is to be chosen from the logits of a span, of which so many are looked at.
std::vector<Choice> chosen_from(Rows rows, int vocabulary, const Span& span,
                                const CpuWeights& model) {
  const bool probability = span.output == HeadOutput::kChoiceAndProbability;
  const PairTables tables{&model.network.pair_previous, &model.network.pair_next};
  std::vector<PairRow> pair_rows;
  std::vector<Choice> choices(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const int row = span.logits_begin + static_cast<int>(i);
    const int position = span.sequence->length() + row + 1;
    if (span.context != nullptr) span.context->adjust(rows[i], span.drafts_before(row));
    rows[i].resize(static_cast<size_t>(vocabulary));
    choices[i] = select(rows[i], position, *span.sampling, probability);
    pair_rows.push_back(pair_row(rows[i], position, *span.sampling, tables, probability));
  }
  if (span.view == View::kDiffusion) {
    choose_drafts(pair_rows, span.tokens[0], *span.sampling, tables, probability, choices);
  }
  return choices;
}

TEST(PairwisePass, DraftsAreChainsAndNothingElseIs) {
  std::mt19937 random(test::fresh_seed());
  const auto pick = [&](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  const test::TemporaryDirectory directory;
  write_near_ties(directory.path(), DType::kF32, 12);
  const CpuWeights model = load_model(directory.path());
  ASSERT_EQ(model.config.pair_rank, 12);
  const auto tokens = [&](int count) {
    std::vector<int32_t> ids(static_cast<size_t>(count));
    for (int32_t& id : ids) id = pick(0, model.config.vocab_size - 1);
    return ids;
  };
  const SamplingParams kParams[] = {
      {}, {.temperature = 1, .seed = 3}, {.temperature = 0.7f, .top_k = 40, .top_p = 0.9f}};
  const RowContext context({.repetition_penalty = 1.5f}, tokens(20), model.config.vocab_size, 0);
  int moved = 0;
  for (int trial = 0; trial < 12; ++trial) {
    const CpuOps ops(pick(1, 3));
    CpuForwardPass pass(model, ops);
    std::vector<std::unique_ptr<TestSequence>> sequences;
    std::vector<std::vector<int32_t>> ids;
    std::vector<Span> spans;
    const int vocab_size = model.config.vocab_size;
    const int draft_vocabulary =
        pick(0, 1) == 0 ? 2 * vocab_size : pick(vocab_size / 2, vocab_size);
    for (int s = 0; s < 5; ++s) {
      sequences.push_back(std::make_unique<TestSequence>(model, ops));
      KvSequence& sequence = sequences.back()->sequence;
      const std::vector<int32_t> prompt = tokens(20);
      const Span prefill{&sequence, prompt, View::kAutoregressive, 0, 0};
      ASSERT_EQ(run_and_commit(pass, std::span(&prefill, 1)), Status::kOk);
      const bool drafts = s % 2 == 0;
      const int count = pick(1, drafts ? 9 : 3);
      ids.push_back(tokens(count));
      if (drafts) std::fill(ids.back().begin() + 1, ids.back().end(), model.config.mask_token_id);
      spans.push_back({.sequence = &sequence,
                       .tokens = ids.back(),
                       .view = drafts ? View::kDiffusion : View::kAutoregressive,
                       .logits_end = count,
                       .sampling = &kParams[pick(0, 2)],
                       .draft_vocabulary = draft_vocabulary - s});
      ASSERT_EQ(sequence.reserve(count), Status::kOk);
    }
    ASSERT_EQ(pass.run(spans), Status::kOk);
    std::vector<Rows> logits;
    for (size_t s = 0; s < spans.size(); ++s) logits.push_back(copy_of(pass.logits(s)));

    for (Span& span : spans) {
      span.output = std::array{HeadOutput::kLogits, HeadOutput::kChoice,
                               HeadOutput::kChoiceAndProbability}[pick(0, 2)];
      if (pick(0, 2) == 0) span.context = &context;
    }
    // The pass looks at as many as the span that wants most.
    const bool whole = std::ranges::any_of(spans, [](const Span& span) {
      return span.view == View::kDiffusion && span.output == HeadOutput::kLogits;
    });
    const int looked_at = whole ? vocab_size : std::min(draft_vocabulary, vocab_size);
    ASSERT_EQ(pass.run(spans), Status::kOk);
    for (size_t s = 0; s < spans.size(); ++s) {
      if (spans[s].output == HeadOutput::kLogits) {
        EXPECT_EQ(copy_of(pass.logits(s)), logits[s]);
        continue;
      }
      const std::vector<Choice> want = chosen_from(
          logits[s], spans[s].view == View::kDiffusion ? looked_at : vocab_size, spans[s], model);
      const std::span<const Choice> got = pass.head_rows(s).choices;
      ASSERT_EQ(got.size(), want.size());
      for (size_t i = 0; i < want.size(); ++i) {
        EXPECT_EQ(got[i].id, want[i].id) << "span " << s << ", row " << i;
        if (spans[s].output == HeadOutput::kChoiceAndProbability) {
          EXPECT_NEAR(got[i].probability, want[i].probability, 1e-4);
        }
        moved += spans[s].view == View::kDiffusion &&
                 want[i].id != select(logits[s][i], spans[s].sequence->length() + int(i) + 1,
                                      *spans[s].sampling)
                                   .id;
      }
    }
  }
  EXPECT_GT(moved, 5) << "the term changed too few drafts for this test to mean much";
}

}  // namespace
}  // namespace orthrus
