// What a whole forward pass takes, by view, rows, context and threads. The checkpoint is the
// directory in ORTHRUS_MODEL, models/tiny-code of this repository without it.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <vector>

#include "backends/cpu/cpu_forward.h"
#include "kernels/cpu/cpu_ops.h"

namespace orthrus {
namespace {

const CpuWeights& model() {
  static const auto loaded = [] {
    const char* const named = std::getenv("ORTHRUS_MODEL");
    const std::filesystem::path directory = named ? named : ORTHRUS_TINY_CODE;
    return CpuWeights(load_config(directory), Checkpoint::open(directory), directory.string(),
                      CpuOps(2));
  }();
  return loaded;
}

void forward(benchmark::State& state) {
  const auto view = static_cast<View>(state.range(0));
  const int rows = static_cast<int>(state.range(1));
  const int context = static_cast<int>(state.range(2));
  const CpuOps ops(static_cast<int>(state.range(3)));
  KvPool pool(ops, model().kv_layout(), static_cast<size_t>(context + rows) / kPageSize + 2);
  KvSequence sequence(pool);
  CpuForwardPass pass(model(), ops);
  const std::vector<int32_t> prompt(static_cast<size_t>(context), 7);
  const Span prefill{&sequence, prompt, View::kAutoregressive, 0, 0};
  if (sequence.reserve(context + rows) != Status::kOk ||
      pass.run(std::span(&prefill, 1)) != Status::kOk) {
    return state.SkipWithError("no memory");
  }
  sequence.commit(context);
  const std::vector<int32_t> tokens(static_cast<size_t>(rows), 11);
  // A prefill wants no logits but the last row's.
  const Span span{
      &sequence, tokens, view, rows > 64 ? rows - 1 : 0, rows, HeadOutput::kChoiceAndProbability};
  for (auto _ : state) {
    if (pass.run(std::span(&span, 1)) != Status::kOk) return state.SkipWithError("no memory");
  }
  state.counters["tokens/s"] = benchmark::Counter(static_cast<double>(state.iterations()) * rows,
                                                  benchmark::Counter::kIsRate);
}
// A draft tree: a trunk, and branches of two rows behind its rows, in turn.
void tree(benchmark::State& state) {
  const int rows = static_cast<int>(state.range(0)), count = static_cast<int>(state.range(1));
  const int context = static_cast<int>(state.range(2));
  const CpuOps ops(static_cast<int>(state.range(3)));
  const size_t of_sequence = static_cast<size_t>(context + rows) / kPageSize + 2;
  KvPool pool(ops, model().kv_layout(), of_sequence + 2 * static_cast<size_t>(count));
  KvSequence sequence(pool);
  CpuForwardPass pass(model(), ops);
  const std::vector<int32_t> prompt(static_cast<size_t>(context), 7);
  const Span prefill{&sequence, prompt, View::kAutoregressive, 0, 0};
  const int trunk = rows - 2 * count;
  std::vector<Branch> branches;
  for (int b = 0; b < count; ++b) {
    branches.push_back({b % trunk, trunk + 2 * b, 2, b % trunk + 1});
  }
  if (sequence.reserve(context + rows) != Status::kOk ||
      pass.run(std::span(&prefill, 1)) != Status::kOk) {
    return state.SkipWithError("no memory");
  }
  sequence.commit(context);
  if (sequence.reserve_branches(branches) != Status::kOk) return state.SkipWithError("no memory");
  const std::vector<int32_t> tokens(static_cast<size_t>(rows), 11);
  const Span span{.sequence = &sequence,
                  .tokens = tokens,
                  .logits_end = rows,
                  .output = HeadOutput::kChoice,
                  .branches = branches};
  for (auto _ : state) {
    if (pass.run(std::span(&span, 1)) != Status::kOk) return state.SkipWithError("no memory");
  }
}
BENCHMARK(tree)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond)
    ->ArgNames({"rows", "branches", "context", "threads"})
    ->ArgsProduct({{12}, {0, 4}, {300, 2048, 8192}, {2}})
    ->ArgsProduct({{32}, {0, 10}, {300, 2048, 8192}, {2}});

BENCHMARK(forward)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond)
    ->ArgNames({"view", "rows", "context", "threads"})
    ->ArgsProduct({{0}, {1, 2, 3, 4, 5, 6, 7, 8, 12, 16}, {200}, {1, 2}})
    ->ArgsProduct({{1}, {3, 5, 8, 16}, {200}, {1, 2}})
    ->ArgsProduct({{0}, {1, 8}, {1900}, {1, 2}})
    ->ArgsProduct({{0}, {512}, {64}, {1, 2}});

}  // namespace
}  // namespace orthrus

BENCHMARK_MAIN();
