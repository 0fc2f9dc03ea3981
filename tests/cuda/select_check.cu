// Adjusting and sampling on the device, against the processor's RowContext and select().
#include <cmath>
#include <cstring>
#include <random>

#include "checks.h"
#include "device.cuh"
#include "kernels/cuda/row_context.h"
#include "kernels/cuda/select.h"
#include "kernels/row_context.h"
#include "kernels/select.h"

namespace orthrus::cuda {
namespace {

struct Case {
  int vocabulary;
  float scale;  // of the logits
  bool few;     // of few different values, so that filters cut between equal ones
};

std::vector<SamplingParams> parameters(std::mt19937& random, int vocabulary) {
  std::vector<SamplingParams> all;
  for (const float temperature : {0.1f, 0.7f, 1.0f, 3.0f}) {
    for (const int top_k : {0, 1, 20, vocabulary / 2, vocabulary}) {
      for (const float top_p : {1.0f, 0.95f, 0.5f, 1e-6f}) {
        for (const float min_p : {0.0f, 0.05f, 1.0f}) {
          all.push_back(
              {temperature, top_k, top_p, min_p, static_cast<uint64_t>(random()) << 32 | random()});
        }
      }
    }
  }
  return all;
}

std::vector<float> random_logits(std::mt19937& random, const Case& c) {
  std::normal_distribution<float> normal(0, c.scale);
  std::vector<float> logits(static_cast<size_t>(c.vocabulary));
  for (float& l : logits) {
    l = normal(random);
    if (c.few) l = std::round(l * 2) / 2;  // zeros of both signs among them
  }
  return logits;
}

void check_case(Checks& checks, const Case& c) {
  std::mt19937 random(static_cast<unsigned>(checks.seed) + static_cast<unsigned>(c.vocabulary));
  const std::vector<SamplingParams> params = parameters(random, c.vocabulary);
  const int rows = static_cast<int>(params.size());
  const size_t stride = static_cast<size_t>(c.vocabulary) + c.vocabulary % 3;  // unaligned, too
  constexpr int kDifferent = 8;  // rows of logits, by turns
  std::vector<std::vector<float>> logits;
  for (int i = 0; i < kDifferent; ++i) logits.push_back(random_logits(random, c));
  std::vector<float> all(stride * params.size(), NAN);
  std::vector<SelectRow> how(params.size());
  for (int m = 0; m < rows; ++m) {
    std::copy(logits[m % kDifferent].begin(), logits[m % kDifferent].end(),
              all.begin() + static_cast<std::ptrdiff_t>(m * stride));
    how[m] = {params[m].temperature, params[m].top_p,    params[m].min_p, params[m].top_k,
              params[m].seed,        /*position=*/m * 7, m % 2 == 0};
  }
  const Array<float> device_logits(all);
  const Array<SelectRow> device_how(how);
  const Array<int> count(std::vector<int>{rows - 1});
  Array<Choice> out(params.size());
  out.poison();
  CHECK_CUDA(select(device_logits.data(), stride, c.vocabulary, device_how.data(), out.data(), rows,
                    count.data(), nullptr));
  const std::vector<Choice> got = out.host();
  int wrong = 0, unlikely = 0;
  for (int m = 0; m < rows - 1; ++m) {
    const Choice want = orthrus::select(logits[m % kDifferent], m * 7, params[m], m % 2 == 0);
    if (got[m].id != want.id || got[m].logit != want.logit) {
      if (wrong++ == 0) {
        std::printf("temperature %g, top_k %d, top_p %g, min_p %g: %d, not %d\n",
                    params[m].temperature, params[m].top_k, params[m].top_p, params[m].min_p,
                    got[m].id, want.id);
      }
    }
    unlikely += !(std::abs(got[m].probability - want.probability) <= 1e-5f);
  }
  checks.expect(wrong == 0, "select of %d, scale %g: %d of %d wrong", c.vocabulary, c.scale, wrong,
                rows - 1);
  checks.expect(unlikely == 0, "select of %d, scale %g: %d probabilities", c.vocabulary, c.scale,
                unlikely);
  uint32_t untouched;
  std::memcpy(&untouched, &got[rows - 1].id, sizeof(untouched));
  checks.expect(untouched == 0xFFFFFFFFu, "select of %d wrote past the count", c.vocabulary);
}

// What is not finite chooses nothing; a row with temperature 0 is left alone; the other rows of the
// pass don't notice.
void check_broken(Checks& checks) {
  constexpr int kVocabulary = 9001, kRows = 5;
  std::mt19937 random(static_cast<unsigned>(checks.seed));
  std::vector<float> all;
  for (int m = 0; m < kRows; ++m) {
    const std::vector<float> row = random_logits(random, {kVocabulary, 3, false});
    all.insert(all.end(), row.begin(), row.end());
  }
  const std::vector<float> sound(all.begin() + 4 * kVocabulary, all.end());
  all[0 * kVocabulary + random() % kVocabulary] = NAN;
  all[1 * kVocabulary + random() % kVocabulary] = INFINITY;
  all[2 * kVocabulary + random() % kVocabulary] = 3e38f;  // over the temperature
  std::vector<SelectRow> how(kRows, {.temperature = 0.5f, .seed = checks.seed, .position = 3});
  how[3].temperature = 0;
  const Array<float> logits(all);
  const Array<SelectRow> rows(how);
  const Array<int> count(std::vector<int>{kRows});
  Array<Choice> out(kRows);
  out.poison();
  CHECK_CUDA(select(logits.data(), kVocabulary, kVocabulary, rows.data(), out.data(), kRows,
                    count.data(), nullptr));
  const std::vector<Choice> got = out.host();
  for (int m = 0; m < 3; ++m) checks.expect(got[m].id == -1, "select chose from broken row %d", m);
  checks.expect(std::isnan(got[3].logit), "select touched a row that is not sampled");
  const Choice want = orthrus::select(sound, 3, {.temperature = 0.5f, .seed = checks.seed});
  checks.expect(got[4].id == want.id, "select beside broken rows: %d, not %d", got[4].id, want.id);
}

SamplingParams random_penalties(std::mt19937& random, int vocabulary) {
  const auto any_of = [&](auto... values) {
    const float all[] = {values...};
    return all[random() % sizeof...(values)];
  };
  SamplingParams params{.temperature = any_of(0.0f, 0.7f, 1.3f),
                        .top_k = static_cast<int>(random() % 2) * 40,
                        .seed = random(),
                        .repetition_penalty = any_of(1.0f, 1.1f, 1.7f, 0.9f),
                        .presence_penalty = any_of(0.0f, 0.5f, -1.5f),
                        .frequency_penalty = any_of(0.0f, 0.3f, 1.9f)};
  for (int i = static_cast<int>(random() % 4); i > 0; --i) {
    params.logit_bias.push_back(
        {static_cast<int32_t>(random() % vocabulary), any_of(-INFINITY, 2.5f, -0.1f)});
  }
  return params;
}

// Rows of several contexts, behind drafts or not, and one without a context between them.
// `tree`: the rows' drafts are those of a path.
void check_adjust(Checks& checks, const Case& c, bool tree) {
  std::mt19937 random(static_cast<unsigned>(checks.seed) + 7 + static_cast<unsigned>(c.vocabulary));
  const auto token = [&] { return static_cast<int32_t>(random() % c.vocabulary); };
  const auto vocabulary = static_cast<size_t>(c.vocabulary);
  constexpr int kContexts = 6, kRowsOfContext = 4, kRows = kContexts * kRowsOfContext;
  std::vector<SamplingParams> params;
  std::vector<RowContext> contexts;
  std::vector<Occurrence> occurrences;
  std::vector<Penalties> penalties;
  std::vector<float> biases(kContexts * vocabulary);
  for (size_t i = 0; i < kContexts; ++i) {
    params.push_back(random_penalties(random, c.vocabulary));
    std::vector<int32_t> prompt(random() % 300);
    for (int32_t& id : prompt) id = token();
    RowContext& context = contexts.emplace_back(params[i], prompt, c.vocabulary, 100);
    for (int n = static_cast<int>(random() % 100); n > 0; --n) context.append(token() / 2);
    occurrences.insert(occurrences.end(), context.occurrences().begin(),
                       context.occurrences().end());
    penalties.push_back(context.penalties());
    for (const TokenBias& b : context.biases()) biases[i * vocabulary + b.token] = b.bias;
  }
  std::vector<int32_t> ids(64);
  for (int32_t& id : ids) id = random() % 3 == 0 ? ids[0] : token() / 2;
  const size_t stride = vocabulary + vocabulary % 3;
  std::vector<float> all;
  std::vector<SelectRow> how(kRows);
  for (int m = 0; m < kRows; ++m) {
    std::vector<float> row = random_logits(random, c);
    row.resize(stride, NAN);
    all.insert(all.end(), row.begin(), row.end());
    const SamplingParams& p = params[m % kContexts];
    how[m] = {.temperature = p.greedy() ? 1 : p.temperature,
              .top_p = p.top_p,
              .min_p = p.min_p,
              .top_k = p.top_k,
              .seed = p.seed,
              .position = m,
              .probability = m % 2 == 0,
              .greedy = p.greedy(),
              .context = m == 5 ? -1 : m % kContexts,
              .last_draft = 32 + static_cast<int>(random() % 32),
              .drafts = static_cast<int>(random() % 32)};
  }
  std::vector<int> parents(ids.size());
  for (size_t i = 0; i < parents.size(); ++i) {
    parents[i] = static_cast<int>(random() % std::max<size_t>(i, 1));
  }
  const Array<float> device_logits(all), device_biases(biases);
  const Array<SelectRow> device_how(how);
  const Array<Occurrence> device_occurrences(occurrences);
  const Array<Penalties> device_penalties(penalties);
  const Array<int32_t> device_ids(ids);
  const Array<int> device_parents(parents), count(std::vector<int>{kRows - 1});
  Array<Choice> out(kRows);
  CHECK_CUDA(adjust(device_logits.data(), stride, c.vocabulary, device_how.data(),
                    {device_occurrences.data(), device_biases.data(), device_penalties.data()},
                    device_ids.data(), tree ? device_parents.data() : nullptr, kRows, count.data(),
                    nullptr));
  CHECK_CUDA(select(device_logits.data(), stride, c.vocabulary, device_how.data(), out.data(),
                    kRows, count.data(), nullptr));
  const std::vector<float> adjusted = device_logits.host();
  const std::vector<Choice> chosen = out.host();
  int different = 0, wrong = 0, unlikely = 0;
  for (int m = 0; m < kRows; ++m) {
    std::vector<float> row(all.begin() + static_cast<std::ptrdiff_t>(m * stride),
                           all.begin() + static_cast<std::ptrdiff_t>(m * stride + vocabulary));
    if (how[m].context >= 0 && m < kRows - 1) {
      std::vector<int32_t> drafts(static_cast<size_t>(how[m].drafts));
      int at = how[m].last_draft;
      for (int32_t& draft : drafts) {
        draft = ids[static_cast<size_t>(at)];
        at = tree ? parents[static_cast<size_t>(at)] : at - 1;
      }
      contexts[how[m].context].adjust(row, drafts);
    }
    different += std::memcmp(row.data(), &adjusted[m * stride], vocabulary * sizeof(float)) != 0;
    if (m == kRows - 1) continue;
    const Choice want = orthrus::select(row, m, params[m % kContexts], m % 2 == 0);
    wrong += chosen[m].id != want.id || chosen[m].logit != want.logit;
    unlikely += !(std::abs(chosen[m].probability - want.probability) <= 1e-5f);
  }
  checks.expect(different == 0, "adjust of %d: %d of %d rows differ", c.vocabulary, different,
                kRows);
  checks.expect(wrong == 0, "select of adjusted %d: %d of %d wrong", c.vocabulary, wrong, kRows);
  checks.expect(unlikely == 0, "select of adjusted %d: %d probabilities", c.vocabulary, unlikely);
}

}  // namespace

void check_select(Checks& checks) {
  for (const Case& c : {Case{1, 1, false}, Case{5, 2, false}, Case{33, 3, true},
                        Case{1000, 3, false}, Case{4096, 5, true}, Case{8193, 2, true},
                        Case{50000, 0.5f, false}, Case{151936, 3, false}}) {
    check_case(checks, c);
    check_adjust(checks, c, false);
    check_adjust(checks, c, true);
  }
  check_broken(checks);
}

}  // namespace orthrus::cuda
