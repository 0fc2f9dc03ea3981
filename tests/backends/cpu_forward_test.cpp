// The contract at the level of a pass: the AR logits of a position are the same bits, alone, in a
// verify block of any size, in a prefill chunk of any size, beside any other spans.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <optional>
#include <random>
#include <ranges>

#include "kernels/cpu/cpu_ops.h"
#include "support/fresh_seed.h"
#include "support/model.h"

namespace orthrus {
namespace {

using Row = std::vector<float>;

std::filesystem::path path_of(const std::string& name) {
  if (name == "tiny-code") return std::filesystem::path(ORTHRUS_MODELS) / name;
  return std::filesystem::path(ORTHRUS_TEST_DATA) / "golden" / name;
}

class Forward : public testing::TestWithParam<const char*> {
 protected:
  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  std::vector<int32_t> random_tokens(int count) {
    std::vector<int32_t> ids(count);
    for (int32_t& id : ids) id = pick(0, model_.config.vocab_size - 1);
    return ids;
  }

  // The logits of every position, one token a pass, one thread.
  std::vector<Row> one_by_one(std::span<const int32_t> tokens) {
    const CpuOps ops(1);
    TestSequence s(model_, ops);
    CpuForwardPass pass(model_, ops);
    std::vector<Row> rows;
    for (size_t p = 0; p < tokens.size(); ++p) {
      const Span span{&s.sequence, tokens.subspan(p, 1), View::kAutoregressive, 0, 1};
      EXPECT_EQ(run_and_commit(pass, std::span(&span, 1)), Status::kOk);
      const float* row = pass.logits(0).row(0);
      rows.emplace_back(row, row + model_.config.vocab_size);
    }
    return rows;
  }

  void expect_rows(ConstRows got, const std::vector<Row>& want, int first, const char* what) {
    for (int i = 0; i < got.rows; ++i) {
      ASSERT_EQ(std::memcmp(got.row(i), want.at(first + i).data(), got.cols * sizeof(float)), 0)
          << what << ", position " << first + i;
    }
  }

  CpuWeights model_ = load_model(path_of(GetParam()));
  std::mt19937 random_{test::fresh_seed()};
};

TEST_P(Forward, PrefillChunksOfAnySizeGiveTheBitsOfSingleSteps) {
  const auto tokens = random_tokens(150);
  const auto want = one_by_one(tokens);
  for (const int chunk : {2, 7, 63, 64, 65, 150}) {
    const CpuOps ops(pick(1, 3));
    TestSequence s(model_, ops);
    CpuForwardPass pass(model_, ops);
    for (int at = 0; at < 150; at += chunk) {
      const int count = std::min(chunk, 150 - at);
      const Span span{&s.sequence, std::span(tokens).subspan(at, count), View::kAutoregressive, 0,
                      count};
      ASSERT_EQ(run_and_commit(pass, std::span(&span, 1)), Status::kOk);
      expect_rows(pass.logits(0), want, at, "prefill");
    }
  }
}

TEST_P(Forward, OnlyTheLogitsAskedForAreComputedAndTheyAreTheSame) {
  const auto tokens = random_tokens(20);
  const auto want = one_by_one(tokens);
  const CpuOps ops(2);
  TestSequence s(model_, ops);
  CpuForwardPass pass(model_, ops);
  const Span span{&s.sequence, tokens, View::kAutoregressive, 5, 9};
  ASSERT_EQ(run_and_commit(pass, std::span(&span, 1)), Status::kOk);
  ASSERT_EQ(pass.logits(0).rows, 4);
  expect_rows(pass.logits(0), want, 5, "asked for");
}

// Several sequences at different points, in both views, share passes: verify blocks of which not
// all is kept, diffusion blocks, prefill chunks, single steps.
TEST_P(Forward, NeighboursInAPassChangeNothing) {
  constexpr int kSequences = 5;
  constexpr int kLength = 140;
  std::vector<std::vector<int32_t>> tokens;
  std::vector<std::vector<Row>> want;
  std::vector<std::unique_ptr<TestSequence>> sequences;
  const CpuOps ops(3);
  for (int s = 0; s < kSequences; ++s) {
    tokens.push_back(random_tokens(kLength));
    want.push_back(one_by_one(tokens.back()));
    sequences.push_back(std::make_unique<TestSequence>(model_, ops));
  }
  CpuForwardPass pass(model_, ops);
  std::map<std::pair<int, int>, Row> drafts;  // diffusion rows by (sequence, position), block of 8
  for (int trial = 0; trial < 60; ++trial) {
    std::vector<std::vector<int32_t>> inputs;
    std::vector<Span> spans;
    std::vector<int> owner, keep;
    inputs.reserve(kSequences);
    for (int s = 0; s < kSequences; ++s) {
      KvSequence& sequence = sequences[s]->sequence;
      const int at = sequence.length();
      if (at >= kLength - 40) sequence.clear();
      const int first = sequence.length();
      const int action = pick(0, 3);
      if (action == 0) continue;  // not in this pass
      owner.push_back(s);
      if (action == 1) {
        auto& block = inputs.emplace_back(8, model_.config.mask_token_id);
        block[0] = tokens[s][first];
        spans.push_back({&sequence, block, View::kDiffusion, 0, 8});
        keep.push_back(first);
      } else {
        const int count = pick(1, 40);
        auto& block =
            inputs.emplace_back(tokens[s].begin() + first, tokens[s].begin() + first + count);
        const int right = pick(1, count);  // drafts after that are wrong
        for (int i = right; i < count; ++i) block[i] = pick(0, model_.config.vocab_size - 1);
        spans.push_back({&sequence, block, View::kAutoregressive, 0, right});
        keep.push_back(first + right);
      }
    }
    if (spans.empty()) continue;
    std::vector<int> first;
    for (const Span& span : spans) first.push_back(span.sequence->length());
    for (size_t i = 0; i < spans.size(); ++i) {
      const int rows = static_cast<int>(spans[i].tokens.size());
      ASSERT_EQ(sequences[owner[i]]->sequence.reserve(rows), Status::kOk);
    }
    ASSERT_EQ(pass.run(spans), Status::kOk);
    for (size_t i = 0; i < spans.size(); ++i) {
      if (spans[i].view == View::kAutoregressive) {
        expect_rows(pass.logits(i), want[owner[i]], first[i], "beside others");
        sequences[owner[i]]->sequence.commit(keep[i] - first[i]);
      } else {
        ASSERT_EQ(spans[i].sequence->length(), first[i]) << "a draft must not extend the cache";
        const ConstRows rows = pass.logits(i);
        Row flat;
        for (int r = 0; r < rows.rows; ++r)
          flat.insert(flat.end(), rows.row(r), rows.row(r) + rows.cols);
        const auto [known, fresh] = drafts.try_emplace({owner[i], first[i]}, flat);
        if (!fresh) {
          EXPECT_EQ(known->second, flat) << "the same block drafted twice";
        }
      }
    }
  }
}

// Trees of random shapes, beside a neighbour, over borders of pages: each node's logits are those
// of its path one token at a time, and so is whatever follows once a path has become the sequence.
TEST_P(Forward, EveryNodeOfATreeHasTheBitsOfPlainDecoding) {
  constexpr int kLength = 90;
  const auto text = random_tokens(kLength);
  const auto want_text = one_by_one(text);
  for (int trial = 0; trial < 12; ++trial) {
    const CpuOps ops(pick(1, 3));
    TestSequence s(model_, ops), other(model_, ops);
    KvSequence& sequence = s.sequence;
    CpuForwardPass pass(model_, ops);
    const int known = trial % 2 == 0 ? pick(55, 66) : pick(1, kLength - 1);
    const Span prompt{&sequence, std::span(text).first(known), View::kAutoregressive};
    ASSERT_EQ(run_and_commit(pass, std::span(&prompt, 1)), Status::kOk);
    ASSERT_EQ(other.sequence.reserve(kLength), Status::kOk);

    const int trunk = pick(1, 12);
    std::vector<Branch> branches;
    int rows = trunk;
    for (int b = pick(0, 6); b > 0; --b) {
      const int parent = pick(0, rows - 1), own = pick(1, 4);
      branches.push_back({parent, rows, own, depth_of(branches, parent) + 1});
      rows += own;
    }
    std::vector<int32_t> tokens = random_tokens(rows);
    tokens[0] = text[static_cast<size_t>(known)];
    ASSERT_EQ(sequence.reserve(trunk), Status::kOk);
    ASSERT_EQ(sequence.reserve_branches(branches), Status::kOk);
    Span tree{&sequence, tokens, View::kAutoregressive, 0, rows};
    tree.branches = branches;
    const int beside = pick(1, 9);
    const Span spans[] = {
        {&other.sequence, std::span(text).first(beside), View::kAutoregressive, 0, beside}, tree};
    ASSERT_EQ(pass.run(spans), Status::kOk);
    expect_rows(pass.logits(0), want_text, 0, "beside a tree");
    const auto path_to = [&](int row) {
      std::vector<int32_t> path;
      for (; row > 0; row = parent_of(branches, row)) path.insert(path.begin(), tokens[row]);
      path.insert(path.begin(), text.begin(), text.begin() + known + 1);
      return path;
    };
    std::vector<Row> of_rows;
    for (int row = 0; row < rows; ++row) {
      const float* logits = pass.logits(1).row(row);
      of_rows.emplace_back(logits, logits + model_.config.vocab_size);
    }
    for (int row = 0; row < rows; ++row) {
      const bool leaf = std::ranges::none_of(std::views::iota(row + 1, rows),
                                             [&](int r) { return parent_of(branches, r) == row; });
      if (!leaf) continue;
      const auto want = one_by_one(path_to(row));
      for (int at = row; at > 0; at = parent_of(branches, at)) {
        ASSERT_EQ(of_rows[at], want[static_cast<size_t>(known + depth_of(branches, at))])
            << "row " << at << " of " << rows << ", " << known << " known";
      }
    }

    const int last = pick(0, rows - 1);
    std::optional<size_t> taken;
    for (size_t b = 0; b < branches.size(); ++b) {
      if (last >= branches[b].first_row) taken = b;
    }
    sequence.take_branch(taken);
    sequence.commit(depth_of(branches, last) + 1);
    auto longer = path_to(last);
    const auto more = random_tokens(5);
    longer.insert(longer.end(), more.begin(), more.end());
    const Span next{&sequence, more, View::kAutoregressive, 0, 5};
    ASSERT_EQ(run_and_commit(pass, std::span(&next, 1)), Status::kOk);
    const int first = static_cast<int>(longer.size()) - 5;
    expect_rows(pass.logits(0), one_by_one(longer), first, "behind a branch");
  }
}

// A block on an empty cache is what a model wholly of the drafts' type makes of it, and the AR span
// beside it what it is without them; in one pass, in all forms of output.
TEST_P(Forward, DraftsMayHaveWeightsOfTheirOwn) {
  const CpuWeights both = load_model(path_of(GetParam()), {.draft = DType::kQ8_0});
  const CpuWeights q8 = load_model(path_of(GetParam()), {.type = DType::kQ8_0});
  const CpuOps ops(pick(1, 3));
  const auto text = random_tokens(pick(1, 20)), block = random_tokens(pick(2, 8));
  const int text_rows = static_cast<int>(text.size()), block_rows = static_cast<int>(block.size());
  const auto run = [&](const CpuWeights& model, const std::vector<HeadOutput>& outputs) {
    TestSequence prompt(model, ops), empty(model, ops);
    CpuForwardPass pass(model, ops);
    const Span spans[] = {
        {&empty.sequence, block, View::kDiffusion, 0, block_rows, outputs[0]},
        {&prompt.sequence, text, View::kAutoregressive, 0, text_rows, outputs[1]}};
    EXPECT_EQ(run_and_commit(pass, spans), Status::kOk);
    std::vector<std::vector<float>> of_spans;
    for (size_t s = 0; s < 2; ++s) {
      std::vector<float>& numbers = of_spans.emplace_back();
      const HeadRows rows = pass.head_rows(s);
      for (int i = 0; i < rows.logits.rows; ++i) {
        numbers.insert(numbers.end(), rows.logits.row(i), rows.logits.row(i) + rows.logits.cols);
      }
      for (const Choice& top : rows.choices) {
        numbers.insert(numbers.end(), {static_cast<float>(top.id), top.logit});
      }
    }
    return of_spans;
  };
  constexpr HeadOutput kOutputs[] = {HeadOutput::kLogits, HeadOutput::kChoice};
  for (const HeadOutput of_block : kOutputs) {
    for (const HeadOutput of_text : kOutputs) {
      const auto got = run(both, {of_block, of_text});
      EXPECT_EQ(got[0], run(q8, {of_block, of_text})[0]);
      EXPECT_EQ(got[1], run(model_, {of_block, of_text})[1]);
    }
  }
  // Only what is of another type is there twice.
  EXPECT_NE(both.network.lm_head.ar.data, both.network.lm_head.diffusion.data);
  EXPECT_EQ(q8.network.lm_head.ar.data, q8.network.lm_head.diffusion.data);
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, Forward, testing::Values("tied", "untied", "tiny-code"));

}  // namespace
}  // namespace orthrus
