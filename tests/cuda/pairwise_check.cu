// Drafts chosen in chains on the device, against a plain reference in double: which tokens of a row
// are looked at, and what is chosen behind the anchor and the drafts.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <span>

#include "checks.h"
#include "device.cuh"
#include "kernels/cuda/pairwise.h"
#include "kernels/philox.h"
#include "kernels/select.h"

namespace orthrus::cuda {
namespace {

using Bf16 = __nv_bfloat16;

struct Case {
  int vocabulary;
  int rank;
  bool exact;  // values are few and short, so that sums are exact and many are equal
};

// What a row's tokens are chosen by, without the term.
struct Ranked {
  int32_t id;
  double score, value;
};

// Both tables, on either side.
struct Tables {
  Tables(const Case& c, std::mt19937& random) : rank(c.rank) {
    for (std::vector<float>* const table : {&previous, &next}) {
      // So that terms have a standard deviation of 2.
      std::normal_distribution<float> normal(0, std::sqrt(2 / std::sqrt(static_cast<float>(rank))));
      std::vector<Bf16> rounded;
      for (size_t i = 0; i < static_cast<size_t>(c.vocabulary) * rank; ++i) {
        const float value = c.exact ? static_cast<float>(random() % 3) - 1 : normal(random);
        rounded.push_back(__float2bfloat16_rn(value));
        table->push_back(__bfloat162float(rounded.back()));
      }
      (table == &previous ? device_previous : device_next) = Array<Bf16>(rounded);
    }
  }

  double term(int32_t before, int32_t id) const {
    const float* const a = &previous[static_cast<size_t>(before) * rank];
    const float* const b = &next[static_cast<size_t>(id) * rank];
    double sum = 0;
    for (int i = 0; i < rank; ++i) sum += static_cast<double>(a[i]) * b[i];
    return sum;
  }
  PairTables device() const { return {device_previous.data(), device_next.data(), rank}; }

  int rank;
  std::vector<float> previous, next;
  Array<Bf16> device_previous, device_next;
};

SamplingParams random_parameters(std::mt19937& random) {
  const auto any_of = [&](auto... values) {
    const float all[] = {static_cast<float>(values)...};
    return all[random() % sizeof...(values)];
  };
  return {.temperature = any_of(0, 0, 0.3, 0.7, 1, 1.5),
          .top_k = static_cast<int>(any_of(0, 0, 20, 50, 1)),
          .top_p = any_of(1, 1, 0.9),
          .min_p = any_of(0, 0, 0.05),
          .seed = static_cast<uint64_t>(random()) << 32 | random()};
}

// Rows of several chains, with rows between them that are none's.
struct Rows {
  Rows(const Case& c, std::mt19937& random) : vocabulary(c.vocabulary) {
    stride = static_cast<size_t>(vocabulary) + vocabulary % 3;  // unaligned, too
    int chain = 0;
    for (const int links : {15, 1, 31, 2, 16, 17, 33, 3}) {
      params.push_back(random_parameters(random));
      if (chain == 0) params.back() = {};  // greedy, without a context
      for (int i = 0; i < links; ++i) {
        SelectRow& row = add(random, c.exact);
        row.probability = chain % 2 == 0;
        row.join_chain(i, links, /*anchor_row=*/chain * 3);
      }
      add(random, c.exact);
      ++chain;
    }
    ids.resize(static_cast<size_t>(chain) * 3);
    for (int32_t& id : ids) id = static_cast<int32_t>(random() % vocabulary);
  }

  SelectRow& add(std::mt19937& random, bool exact) {
    const SamplingParams& p = params.back();
    SelectRow& row = how.emplace_back(SelectRow{.temperature = p.greedy() ? 0 : p.temperature,
                                                .top_p = p.top_p,
                                                .min_p = p.min_p,
                                                .top_k = p.top_k,
                                                .seed = p.seed,
                                                .position = 5 * count(),
                                                .greedy = p.greedy()});
    params_of.push_back(params.size() - 1);
    std::normal_distribution<float> normal(0, 3);
    std::vector<float> logits(stride, NAN);
    for (int i = 0; i < vocabulary; ++i) {
      logits[i] = normal(random);
      if (exact) logits[i] = std::round(logits[i]);  // zeros of both signs among them
    }
    all.insert(all.end(), logits.begin(), logits.end());
    return row;
  }

  int count() const { return static_cast<int>(how.size()); }
  std::span<float> logits(int m) {
    return std::span(all).subspan(static_cast<size_t>(m) * stride, vocabulary);
  }

  int vocabulary;
  size_t stride;
  std::vector<SamplingParams> params;  // by chain
  std::vector<size_t> params_of;       // by row: which of them
  std::vector<SelectRow> how;
  std::vector<int32_t> ids;
  std::vector<float> all;
};

// All tokens that the filters keep, the best in order before the others. None where a score is not
// finite.
std::vector<Ranked> ranked(std::span<const float> logits, const SamplingParams& params,
                           int position) {
  std::vector<Ranked> tokens;
  if (params.greedy()) {
    if (!orthrus::argmax(logits)) return {};
    for (size_t i = 0; i < logits.size(); ++i) {
      tokens.push_back({static_cast<int32_t>(i), logits[i], logits[i]});
    }
  } else {
    for (const orthrus::Candidate& c : orthrus::filter(logits, params)) {
      const double noise =
          orthrus::gumbel(params.seed, orthrus::Stream::kSelect, position, c.token);
      tokens.push_back({c.token, c.score, c.score + noise});
    }
  }
  const size_t sorted = std::min(tokens.size(), static_cast<size_t>(2 * kPairCandidates));
  std::partial_sort(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(sorted),
                    tokens.end(), [](const Ranked& a, const Ranked& b) {
                      return a.value != b.value ? a.value > b.value : a.id < b.id;
                    });
  return tokens;
}

const char* name_of(const SamplingParams& p) {
  static char name[128];
  std::snprintf(name, sizeof name, "temperature %g, top_k %d, top_p %g, min_p %g", p.temperature,
                p.top_k, p.top_p, p.min_p);
  return name;
}

// The device's candidates are the best, in order; where values are as good as equal, in any.
void check_candidates(Checks& checks, const Case& c, int m, const SamplingParams& params,
                      const std::vector<Ranked>& want, const DraftCandidates& got) {
  const double slack = params.greedy() ? 0 : 2e-5;
  for (size_t i = 0; i < kPairCandidates; ++i) {
    if (i >= want.size()) {
      checks.expect(got.ids[i] == -1, "candidates of %d, row %d, %s: candidate %zu is %d, of %zu",
                    c.vocabulary, m, name_of(params), i, got.ids[i], want.size());
      continue;
    }
    const auto found =
        std::find_if(want.begin(), want.end(), [&](const Ranked& r) { return r.id == got.ids[i]; });
    const bool near = found != want.end() && std::abs(found->value - want[i].value) <= slack;
    checks.expect(got.ids[i] == want[i].id || near,
                  "candidates of %d, row %d, %s: candidate %zu is %d (value %g), not %d (value %g)",
                  c.vocabulary, m, name_of(params), i, got.ids[i], got.values[i], want[i].id,
                  want[i].value);
    if (found == want.end()) continue;
    checks.expect(std::abs(got.values[i] - found->value) <= slack,
                  "candidates of %d, row %d, %s: value of candidate %zu is %.9g, not %.9g",
                  c.vocabulary, m, name_of(params), i, got.values[i], found->value);
  }
}

// A row's draft behind `before`. Where two are as good as equal, either.
void check_choice(Checks& checks, const Case& c, int m, const SelectRow& how,
                  const SamplingParams& params, std::vector<Ranked> tokens, const Tables& tables,
                  std::span<const float> logits, int32_t before, const Choice& got) {
  const double scale = params.greedy() ? 1 : 1.0 / params.temperature;
  double most = -INFINITY;
  for (const Ranked& r : tokens) most = std::max(most, r.score);
  double total = 0;  // of those beyond the candidates, then of all
  const size_t candidates = std::min(tokens.size(), static_cast<size_t>(kPairCandidates));
  for (const Ranked& r : std::span(tokens).subspan(candidates)) total += std::exp(r.score - most);
  tokens.resize(candidates);
  double best_value = -INFINITY, got_value = NAN, own = 0;
  int32_t best = -1;
  for (const Ranked& r : tokens) {
    const double term = scale * tables.term(before, r.id), value = r.value + term;
    if (value > best_value || (value == best_value && r.id < best)) best_value = value, best = r.id;
    if (r.id == got.id) got_value = value, own = std::exp(r.score + term - most);
    total += std::exp(r.score + term - most);
  }
  const double slack = c.exact && params.greedy() ? 0 : 1e-4;
  const bool good = got.id == best || (slack > 0 && best_value - got_value <= slack);
  checks.expect(good,
                "chain of %d, rank %d, row %d (link %d), %s: %d (value %.9g) behind %d, not %d "
                "(value %.9g)",
                c.vocabulary, c.rank, m, how.link, name_of(params), got.id, got_value, before, best,
                best_value);
  if (!good || got.id < 0) return;
  checks.expect(got.logit == logits[got.id], "chain of %d, row %d: logit %g of token %d, not %g",
                c.vocabulary, m, got.logit, got.id, logits[got.id]);
  const double probability = how.probability ? own / total : 0;
  checks.expect(std::abs(got.probability - probability) <= 1e-4,
                "chain of %d, row %d (link %d), %s: probability %g of token %d, not %g",
                c.vocabulary, m, how.link, name_of(params), got.probability, got.id, probability);
}

// Since poison().
bool untouched(const Choice& choice) {
  uint32_t id;
  std::memcpy(&id, &choice.id, sizeof id);
  return id == 0xFFFFFFFFu && std::isnan(choice.logit);
}

// Of all rows but the last, which is behind the count.
void check_rows(Checks& checks, const Case& c, Rows& rows, const Tables& tables) {
  const auto count_of_rows = static_cast<size_t>(rows.count());
  const Array<float> logits(rows.all);
  const Array<SelectRow> how(rows.how);
  const Array<int32_t> ids(rows.ids);
  const Array<int> count(std::vector<int>{rows.count() - 1});
  Array<DraftCandidates> candidates(count_of_rows);
  Array<Choice> out(count_of_rows);
  candidates.poison(), out.poison();
  CHECK_CUDA(find_candidates(logits.data(), rows.stride, rows.vocabulary, how.data(),
                             tables.device(), candidates.data(), rows.count(), count.data(),
                             nullptr));
  CHECK_CUDA(choose_in_chains(logits.data(), rows.stride, how.data(), candidates.data(), ids.data(),
                              tables.device(), out.data(), rows.count(), count.data(), nullptr));
  Array<Choice> alone(count_of_rows);
  alone.poison();
  CHECK_CUDA(select(logits.data(), rows.stride, rows.vocabulary, how.data(), alone.data(),
                    rows.count(), count.data(), nullptr));
  CHECK_CUDA(cudaDeviceSynchronize());
  const std::vector<Choice> chosen_alone = alone.host();
  const std::vector<DraftCandidates> got = candidates.host();
  const std::vector<Choice> choices = out.host();
  int32_t before = -1;
  for (int m = 0; m < rows.count(); ++m) {
    const SelectRow& row = rows.how[m];
    if (row.link < 0 || m == rows.count() - 1) {
      checks.expect(untouched(choices[m]), "chain of %d wrote to row %d, which is in none",
                    c.vocabulary, m);
      continue;
    }
    checks.expect(untouched(chosen_alone[m]), "select of %d wrote to row %d, which is in a chain",
                  c.vocabulary, m);
    if (row.link == 0) before = rows.ids[row.anchor];
    const SamplingParams& params = rows.params[rows.params_of[m]];
    const std::vector<Ranked> want = ranked(rows.logits(m), params, row.position);
    check_candidates(checks, c, m, params, want, got[m]);
    if (before < 0 || want.empty()) {
      checks.expect(choices[m].id == -1, "chain of %d, row %d (link %d) chose %d behind nothing",
                    c.vocabulary, m, row.link, choices[m].id);
      before = -1;
      continue;
    }
    check_choice(checks, c, m, row, params, want, tables, rows.logits(m), before, choices[m]);
    before = choices[m].id;
  }
}

// Rows whose best tokens are all some few threads', more than there is room for at once; and rows
// that are not finite, in the middle of a chain and at its beginning.
void spoil(Rows& rows, std::mt19937& random) {
  for (const int m : {2, 20}) {
    for (int t = 0; t < 32; ++t) {
      for (int quad = t; 4 * quad + 4 <= rows.vocabulary; quad += 512) {
        for (int i = 0; i < 4; ++i) {
          rows.logits(m)[4 * quad + i] =
              static_cast<float>(10 + t) + 0.125f * static_cast<float>(random() % 4);
        }
      }
    }
  }
  std::fill(rows.logits(3).begin(), rows.logits(3).end(), 1.0f);
  const auto any = [&] { return static_cast<size_t>(random() % rows.vocabulary); };
  rows.logits(7)[any()] = NAN;        // of the first chain
  rows.logits(25)[any()] = INFINITY;  // of the third
  rows.logits(50)[any()] = -INFINITY;
  const auto last = std::ranges::find(rows.how, 33, &SelectRow::links);
  rows.logits(static_cast<int>(last - rows.how.begin()))[any()] = NAN;
}

}  // namespace

void check_pairwise(Checks& checks) {
  for (const Case& c :
       {Case{1, 32, false}, Case{5, 32, true}, Case{31, 64, false}, Case{33, 64, true},
        Case{1000, 128, false}, Case{4096, 96, true}, Case{8193, 32, true}, Case{50001, 128, false},
        Case{151936, 64, false}, Case{151936, 128, true}}) {
    std::mt19937 random(static_cast<unsigned>(checks.seed) + static_cast<unsigned>(c.vocabulary));
    const Tables tables(c, random);
    Rows rows(c, random);
    check_rows(checks, c, rows, tables);
    spoil(rows, random);
    check_rows(checks, c, rows, tables);
  }
}

}  // namespace orthrus::cuda
