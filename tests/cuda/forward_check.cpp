// Forward passes on a CUDA device: the logits of a position are the same bits however its row is
// computed, and close to what the processor computes from the same weights in float32. For a
// machine with a device.
//
//   forward_check DATA MODELS      (tests/data and models of the sources)
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <random>
#include <vector>

#include "model/cpu_model.h"
#include "model/cuda/cuda_model.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

constexpr int kNoDevice = 77;  // CTest skips
int failures = 0;

void expect(bool holds, const std::string& what) {
  if (holds) return;
  ++failures;
  fmt::print("FAILED: {}\n", what);
}

using Row = std::vector<float>;

// The logits of all rows of `tokens`, run in chunks of these sizes in turn; `disturbed`: each
// behind wrong tokens that are cropped away and a diffusion block, which shares its pass with
// others.
std::vector<Row> logits_of(Runner& runner, const std::vector<int32_t>& tokens,
                           const std::vector<int>& chunks, bool disturbed, std::mt19937& random) {
  KvSequence sequence(runner.pool()), other(runner.pool());
  std::vector<Row> rows;
  const auto run = [&](std::span<const Span> spans) {
    if (runner.pass().run(spans) != Status::kOk) throw Error(ErrorKind::kSystem, "a pass failed.");
  };
  for (size_t at = 0, i = 0; at < tokens.size(); ++i) {
    const size_t count = std::min<size_t>(chunks[i % chunks.size()], tokens.size() - at);
    const auto chunk = std::span(tokens).subspan(at, count);
    if (disturbed) {
      const std::vector<int32_t> wrong(1 + random() % 40, 7);
      const Span spans[] = {{&other, wrong, View::kDiffusion, 0, 1},
                            {&sequence, wrong, View::kAutoregressive, 0, 1}};
      run(spans);
      sequence.crop(static_cast<int>(at));
      const Span block{&sequence,
                       wrong,
                       View::kDiffusion,
                       0,
                       static_cast<int>(wrong.size()),
                       HeadOutput::kChoiceAndProbability};
      run(std::span(&block, 1));
    }
    const Span span{&sequence, chunk, View::kAutoregressive, 0, static_cast<int>(count)};
    run(std::span(&span, 1));
    const HeadRows got = runner.pass().head_rows(0);
    for (int r = 0; r < got.rows(); ++r) {
      rows.emplace_back(got.logits.row(r), got.logits.row(r) + got.logits.cols);
    }
    at += count;
  }
  return rows;
}

// Verify blocks of eight sequences in one pass, some of which want logits and some the largest
// only.
void check_mixed(Runner& runner, const std::string& name, std::mt19937& random) {
  constexpr int kSequences = 8, kRows = 16;
  std::vector<std::vector<int32_t>> tokens(kSequences, std::vector<int32_t>(kRows));
  std::vector<KvSequence> sequences;
  std::vector<Span> spans;
  for (int s = 0; s < kSequences; ++s) sequences.emplace_back(runner.pool());
  for (int s = 0; s < kSequences; ++s) {
    for (int32_t& id : tokens[s]) id = static_cast<int32_t>(random() % 200);
    spans.push_back({&sequences[s], tokens[s], View::kAutoregressive, 0, kRows,
                     s < 5 ? HeadOutput::kLogits : HeadOutput::kChoice});
  }
  if (runner.pass().run(spans) != Status::kOk) throw Error(ErrorKind::kSystem, "a pass failed.");
  std::vector<std::vector<Row>> rows(kSequences);
  std::vector<std::vector<Choice>> tops(kSequences);
  for (int s = 0; s < kSequences; ++s) {
    const HeadRows got = runner.pass().head_rows(static_cast<size_t>(s));
    tops[s].assign(got.choices.begin(), got.choices.end());
    for (int r = 0; r < got.logits.rows; ++r) {
      rows[s].emplace_back(got.logits.row(r), got.logits.row(r) + got.logits.cols);
    }
  }
  for (int s = 0; s < kSequences; ++s) {
    const std::vector<Row> alone = logits_of(runner, tokens[s], {kRows}, false, random);
    for (int r = 0; r < kRows; ++r) {
      const auto best = std::max_element(alone[r].begin(), alone[r].end());
      const bool same = s < 5
                            ? std::memcmp(rows[s][r].data(), alone[r].data(),
                                          alone[r].size() * sizeof(float)) == 0
                            : tops[s][r].id == best - alone[r].begin() && tops[s][r].logit == *best;
      expect(same, fmt::format("{}: row {} of span {} of a mixed pass", name, r, s));
    }
  }
}

double distance(const Row& a, const Row& b) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
    size += double(b[i]) * b[i];
  }
  return std::sqrt(difference / size);
}

void check(const std::filesystem::path& directory, unsigned seed) {
  std::mt19937 random(seed);
  const std::string name = directory.filename().string();
  const auto model = cuda::load_model(load_config(directory), Checkpoint::open(directory),
                                      directory.string(), 0, {});
  const auto runner = model->start(64);
  std::vector<int32_t> tokens(300);
  for (int32_t& id : tokens) {
    id = static_cast<int32_t>(random() % static_cast<unsigned>(model->config().vocab_size));
  }
  const std::vector<Row> want = logits_of(*runner, tokens, {300}, false, random);
  check_mixed(*runner, name, random);
  int compared = 0;
  for (const std::vector<int>& chunks :
       {std::vector{1}, {2}, {7}, {32}, {33}, {64}, {128}, {129, 1}, {1, 128, 5, 63, 31}}) {
    for (const bool disturbed : {false, true}) {
      const std::vector<Row> got = logits_of(*runner, tokens, chunks, disturbed, random);
      for (size_t i = 0; i < want.size(); ++i) {
        ++compared;
        expect(std::memcmp(got[i].data(), want[i].data(), want[i].size() * sizeof(float)) == 0,
               fmt::format("{}: row {} in chunks of {}...{}, seed {}", name, i, chunks[0],
                           disturbed ? ", disturbed" : "", seed));
        if (failures > 20) return;
      }
    }
  }
  const CpuModel on_cpu(Model(load_config(directory), Checkpoint::open(directory),
                              directory.string(), CpuOps(4), {.type = DType::kF32}),
                        4);
  const auto cpu_runner = on_cpu.start(64);
  const std::vector<Row> reference = logits_of(*cpu_runner, tokens, {300}, false, random);
  double worst = 0;
  for (size_t i = 0; i < want.size(); ++i) worst = std::max(worst, distance(want[i], reference[i]));
  fmt::print("{}: {} rows compared; from the processor's in float32 at most {:.4f} away\n", name,
             compared, worst);
  expect(worst < 0.05,
         fmt::format("{}: {} from the processor's logits, seed {}", name, worst, seed));
}

}  // namespace
}  // namespace orthrus

int main(int argc, char** argv) {
  using namespace orthrus;
  if (cuda::device_count() == 0) {
    fmt::print("no CUDA device\n");
    return kNoDevice;
  }
  if (argc != 3) return 2;
  const std::filesystem::path data = argv[1], models = argv[2];
  const unsigned seed = std::random_device{}();
  try {
    check(data / "golden" / "tied", seed);
    check(data / "golden" / "untied", seed);
    check(models / "tiny-code", seed);
  } catch (const Error& error) {
    fmt::print("{}\n", error.what());
    return 1;
  }
  return failures == 0 ? 0 : 1;
}
