// Sampling on the device, against the processor's select().
#include <cmath>
#include <cstring>
#include <random>

#include "checks.h"
#include "device.cuh"
#include "kernels/cuda/select.h"
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

}  // namespace

void check_select(Checks& checks) {
  for (const Case& c : {Case{1, 1, false}, Case{5, 2, false}, Case{33, 3, true},
                        Case{1000, 3, false}, Case{4096, 5, true}, Case{8193, 2, true},
                        Case{50000, 0.5f, false}, Case{151936, 3, false}}) {
    check_case(checks, c);
  }
  check_broken(checks);
}

}  // namespace orthrus::cuda
