// Drafts chosen one after the other, and the best tokens of a row, against sorting everything.
#include "kernels/pairwise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "base/half.h"
#include "kernels/philox.h"
#include "kernels/select.h"
#include "support/fresh_seed.h"

namespace orthrus {
namespace {

class Pairwise : public testing::Test {
 protected:
  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  template <typename T>
  T any_of(std::initializer_list<T> values) {
    return values.begin()[pick(0, static_cast<int>(values.size()) - 1)];
  }

  std::vector<float> random_row(int vocab, float deviation, bool ties) {
    std::normal_distribution<float> normal(0, deviation);
    std::vector<float> row(static_cast<size_t>(vocab));
    for (float& logit : row) logit = ties ? std::round(normal(random_)) : normal(random_);
    return row;
  }

  SamplingParams random_params() {
    SamplingParams params{.temperature = any_of({0.0f, 0.4f, 1.0f, 2.5f}), .seed = random_()};
    if (pick(0, 1) == 0) return params;
    params.top_k = any_of({0, 1, 5, 50});
    params.top_p = any_of({1.0f, 0.95f, 0.5f});
    params.min_p = any_of({0.0f, 0.02f});
    return params;
  }

  std::mt19937 random_{test::fresh_seed()};
};

// All tokens that the filters leave, in the order of what they are chosen by.
std::vector<RankedToken> all_in_order(std::span<const float> row, int position,
                                      const SamplingParams& params) {
  std::vector<RankedToken> all;
  if (params.greedy()) {
    for (size_t v = 0; v < row.size(); ++v) {
      all.push_back({static_cast<int32_t>(v), row[v], row[v], row[v]});
    }
  } else {
    for (const Candidate& c : filter(row, params)) {
      all.push_back({c.token, row[static_cast<size_t>(c.token)], c.score,
                     c.score + gumbel(params.seed, Stream::kSelect, position, c.token)});
    }
  }
  std::ranges::sort(all, [](const RankedToken& a, const RankedToken& b) {
    return a.ranked != b.ranked ? a.ranked > b.ranked : a.token < b.token;
  });
  return all;
}

double log_total(std::span<const RankedToken> tokens) {
  double total = 0;
  for (const RankedToken& t : tokens) total += std::exp(double(t.score));
  return std::log(total);
}

TEST_F(Pairwise, TheBestTokensAreThoseOfSortingAll) {
  for (int trial = 0; trial < 600; ++trial) {
    const int vocab = trial % 60 == 0 ? pick(60000, 90000) : pick(1, 3000);
    const auto row = random_row(vocab, any_of({0.5f, 3.0f, 8.0f}), trial % 3 == 0);
    const SamplingParams params = random_params();
    const int count = any_of({1, 2, 32, 100}), position = pick(0, 1 << 20);
    std::vector<RankedToken> want = all_in_order(row, position, params);
    const BestTokens got = best_tokens(row, position, params, count, true);
    EXPECT_NEAR(got.log_total, log_total(want), 1e-4);
    want.resize(std::min(want.size(), static_cast<size_t>(count)));
    ASSERT_EQ(got.tokens.size(), want.size());
    for (size_t i = 0; i < want.size(); ++i) {
      ASSERT_EQ(got.tokens[i].token, want[i].token)
          << "rank " << i << " of " << vocab << ", T " << params.temperature << ", trial " << trial;
      ASSERT_EQ(got.tokens[i].logit, want[i].logit);
      ASSERT_EQ(got.tokens[i].score, want[i].score);
      ASSERT_EQ(got.tokens[i].ranked, want[i].ranked);
    }
    ASSERT_EQ(got.tokens[0].token, select(row, position, params).id);
  }
}

TEST_F(Pairwise, LogitsThatAreNotFiniteHaveNoBestTokens) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    for (const float temperature : {0.0f, 1.0f}) {
      for (const int top_k : {0, 2}) {
        std::vector<float> row = random_row(700, 1, false);
        row[static_cast<size_t>(pick(0, 699))] = bad;
        const SamplingParams params{.temperature = temperature, .top_k = top_k};
        EXPECT_TRUE(best_tokens(row, 3, params, 32, true).tokens.empty());
      }
    }
  }
}

// A table of random numbers and its row-major bytes.
struct Table {
  Table(int rows, int rank, float deviation, std::mt19937& random)
      : values(static_cast<size_t>(rows) * static_cast<size_t>(rank)) {
    std::normal_distribution<float> normal(0, deviation);
    for (float& value : values) value = normal(random);
    matrix = {values.data(), DType::kF32, rows, rank};
  }
  std::span<const float> row(int32_t token) const {
    const auto rank = static_cast<size_t>(matrix.cols);
    return std::span(values).subspan(static_cast<size_t>(token) * rank, rank);
  }

  std::vector<float> values;
  Matrix matrix;
};

double term(const Table& previous, int32_t u, const Table& next, int32_t v) {
  double sum = 0;
  for (int i = 0; i < previous.matrix.cols; ++i) {
    sum += double(previous.row(u)[static_cast<size_t>(i)]) *
           double(next.row(v)[static_cast<size_t>(i)]);
  }
  return sum;
}

// As the definition says, from all tokens in order.
Choice plain_draft(std::span<const float> row, int position, int32_t before,
                   const SamplingParams& params, const Table& previous, const Table& next) {
  std::vector<RankedToken> all = all_in_order(row, position, params);
  const double temperature = params.greedy() ? 1 : double(params.temperature);
  Choice best;
  double most = -std::numeric_limits<double>::infinity(), total = 0, score = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    const RankedToken& t = all[i];
    if (i >= kPairCandidates) {
      total += std::exp(double(t.score));
      continue;
    }
    const double added = term(previous, before, next, t.token) / temperature;
    total += std::exp(t.score + added);
    if (t.ranked + added < most || (t.ranked + added == most && t.token > best.id)) continue;
    most = t.ranked + added;
    best = {t.token, t.logit, 0};
    score = t.score + added;
  }
  best.probability = static_cast<float>(std::exp(score) / total);
  return best;
}

TEST_F(Pairwise, DraftsAreThoseOfTheDefinition) {
  int moved = 0;
  for (int trial = 0; trial < 300; ++trial) {
    const int vocab = any_of({1, 7, 31, 33, 301, 1025}), rank = pick(1, 70), rows = pick(1, 9);
    const bool ties = trial % 3 == 0;
    Table previous(vocab, rank, 1, random_), next(vocab, rank, 0.5f, random_);
    if (ties) std::ranges::fill(next.values, 0.0f);
    const PairTables tables{&previous.matrix, &next.matrix};
    const SamplingParams params = random_params();
    const int position = pick(0, 1 << 20);
    const int32_t anchor = pick(0, vocab - 1);

    std::vector<std::vector<float>> logits;
    std::vector<PairRow> pair_rows;
    for (int i = 0; i < rows; ++i) {
      logits.push_back(random_row(vocab, 2, ties));
      pair_rows.push_back(pair_row(logits.back(), position + i, params, tables, true));
    }
    std::vector<Choice> got(static_cast<size_t>(rows));
    choose_drafts(pair_rows, anchor, params, tables, true, got);
    int32_t before = anchor;
    for (int i = 0; i < rows; ++i) {
      const auto& row = logits[static_cast<size_t>(i)];
      const Choice want = plain_draft(row, position + i, before, params, previous, next);
      const Choice& draft = got[static_cast<size_t>(i)];
      ASSERT_EQ(draft.id, want.id) << "row " << i << ", trial " << trial;
      ASSERT_EQ(draft.logit, want.logit);
      ASSERT_NEAR(draft.probability, want.probability, 1e-4);
      moved += draft.id != select(row, position + i, params).id;
      before = draft.id;
    }
    // The same without probabilities.
    for (int i = 0; i < rows; ++i) {
      const auto r = static_cast<size_t>(i);
      pair_rows[r] = pair_row(logits[r], position + i, params, tables, false);
    }
    std::vector<Choice> ids(static_cast<size_t>(rows));
    choose_drafts(pair_rows, anchor, params, tables, false, ids);
    for (size_t i = 0; i < ids.size(); ++i) {
      EXPECT_EQ(ids[i].id, got[i].id);
      EXPECT_EQ(ids[i].probability, 0);
    }
  }
  EXPECT_GT(moved, 100) << "the term changed too few drafts for this test to mean much";
}

// However far terms put them down: there is nothing beside them.
TEST_F(Pairwise, CandidatesThatAreAllShareTheWhole) {
  constexpr int kVocab = 7;
  Table previous(kVocab, 1, 1, random_), next(kVocab, 1, 1, random_);
  std::ranges::fill(previous.values, 1.0f);
  std::ranges::fill(next.values, -20.0f);
  const PairTables tables{&previous.matrix, &next.matrix};
  for (int trial = 0; trial < 100; ++trial) {
    const auto row = random_row(kVocab, 2, false);
    const PairRow pairs = pair_row(row, 0, {}, tables, true);
    Choice draft;
    choose_drafts(std::span(&pairs, 1), 0, {}, tables, true, std::span(&draft, 1));
    EXPECT_NEAR(draft.probability, select(row, 0, {}, true).probability, 1e-5);
    std::vector<NextToken> followers;
    next_tokens(pairs, 0, {}, tables, followers);
    float total = 0;
    for (const NextToken& next_one : followers) total += next_one.confidence;
    EXPECT_NEAR(total, 1, 1e-5);
  }
}

TEST_F(Pairwise, TablesAreReadInTheFormatOfTheirFile) {
  constexpr int kVocab = 40, kRank = 32;
  Table previous(kVocab, kRank, 1, random_), next(kVocab, kRank, 1, random_);
  const auto rounded = [](Table& table) {
    std::vector<BF16> stored;
    for (float& value : table.values) {
      stored.push_back(to_bf16(value));
      value = to_float(stored.back());
    }
    return stored;
  };
  const auto stored_previous = rounded(previous), stored_next = rounded(next);
  const Matrix narrow_previous{stored_previous.data(), DType::kBF16, kVocab, kRank};
  const Matrix narrow_next{stored_next.data(), DType::kBF16, kVocab, kRank};
  const auto drafts = [&](const PairTables& tables) {
    std::mt19937 same(7);
    std::normal_distribution<float> normal;
    std::vector<PairRow> rows;
    for (int i = 0; i < 6; ++i) {
      std::vector<float> row(kVocab);
      for (float& logit : row) logit = normal(same);
      rows.push_back(pair_row(row, i, {}, tables, false));
    }
    std::vector<Choice> out(rows.size());
    choose_drafts(rows, 3, {}, tables, false, out);
    std::vector<int32_t> ids;
    for (const Choice& choice : out) ids.push_back(choice.id);
    return ids;
  };
  EXPECT_EQ(drafts({&previous.matrix, &next.matrix}), drafts({&narrow_previous, &narrow_next}));
}

TEST_F(Pairwise, TermsThatAreKnownServeAsTheTablesDo) {
  for (const float temperature : {0.0f, 0.5f}) {
    const SamplingParams params{.temperature = temperature, .seed = random_()};
    Table previous(300, 8, 1, random_), next(300, 8, 1, random_);
    const PairTables tables{&previous.matrix, &next.matrix};
    const PairRow row = pair_row(random_row(300, 2, false), 5, params, tables, true);
    PairRow known{.best = row.best, .before = {7, 3, 250}};
    for (const int32_t before : known.before) {
      for (const RankedToken& candidate : row.best.tokens) {
        const double added = term(previous, before, next, candidate.token);
        known.terms.push_back(static_cast<float>(params.greedy() ? added : added / temperature));
      }
    }
    std::vector<NextToken> want, got;
    for (const int32_t before : known.before) {
      next_tokens(row, before, params, tables, want);
      next_tokens(known, before, params, {}, got);
      ASSERT_EQ(got.size(), want.size());
      for (size_t i = 0; i < got.size(); ++i) {
        EXPECT_EQ(got[i].token, want[i].token);
        EXPECT_NEAR(got[i].confidence, want[i].confidence, 1e-4);
      }
    }
  }
}

TEST_F(Pairwise, ARowThatIsNotFiniteEndsTheDrafts) {
  const Table previous(20, 4, 1, random_), next(20, 4, 1, random_);
  const PairTables tables{&previous.matrix, &next.matrix};
  std::vector<PairRow> rows;
  for (int i = 0; i < 4; ++i) {
    auto row = random_row(20, 1, false);
    if (i == 2) row[5] = NAN;
    rows.push_back(pair_row(row, i, {}, tables, true));
  }
  std::vector<Choice> out(4, Choice{9, 9, 9});
  choose_drafts(rows, 0, {}, tables, true, out);
  EXPECT_GE(out[0].id, 0);
  EXPECT_GE(out[1].id, 0);
  EXPECT_EQ(out[2].id, -1);
  EXPECT_EQ(out[3].id, -1);
}

}  // namespace
}  // namespace orthrus
