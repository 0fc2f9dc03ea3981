// How fast the kernels are: GFLOP/s of products by weight type and tokens, GB/s of weights read,
// attention by context. The first two lines say what the machine gives: fused multiply-adds in
// registers, and a plain read of memory.
#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/roofline.h"

namespace orthrus {
namespace {

constexpr int kThreads = 2;

void report(benchmark::State& state, double flops, double bytes) {
  const auto total = [&](double each) {
    return benchmark::Counter(each * static_cast<double>(state.iterations()),
                              benchmark::Counter::kIsRate);
  };
  state.counters["GFLOP/s"] = total(flops * 1e-9);
  state.counters["GB/s"] = total(bytes * 1e-9);
}

void multiply_adds(benchmark::State& state) {
  double flops = 0;
  for (auto _ : state) flops = cpu::run_multiply_adds(kThreads);
  report(state, flops, 0);
}
BENCHMARK(multiply_adds)->UseRealTime();

void pair_multiply_adds(benchmark::State& state) {
  double flops = 0;
  for (auto _ : state) flops = cpu::run_pair_multiply_adds(kThreads);
  report(state, flops, 0);
}
BENCHMARK(pair_multiply_adds)->UseRealTime();

void read_memory(benchmark::State& state) {
  const std::vector<float> memory(size_t{256} << 20 >> 2, 1.0f);
  for (auto _ : state) benchmark::DoNotOptimize(cpu::read_all(memory, kThreads));
  report(state, 0, static_cast<double>(memory.size() * sizeof(float)));
}
BENCHMARK(read_memory)->UseRealTime();

// Several matrices one after the other, more than caches hold.
void matmul(benchmark::State& state) {
  const auto type = static_cast<DType>(state.range(0));
  const int tokens = static_cast<int>(state.range(1));
  const int rows = static_cast<int>(state.range(2)), cols = static_cast<int>(state.range(3));
  const CpuOps ops(kThreads);
  const size_t bytes = ops.packed_bytes(type, rows, cols);
  const size_t count = std::max<size_t>(1, (size_t{200} << 20) / bytes);
  std::mt19937 random(1);
  std::vector<float> source(static_cast<size_t>(rows) * cols);
  for (float& w : source) w = static_cast<float>(random() % 1000) / 1000 - 0.5f;
  std::vector<Buffer> buffers;
  std::vector<Matrix> matrices;
  for (size_t i = 0; i < count; ++i) {
    buffers.push_back(ops.allocate(bytes / 4 + 1));
    matrices.push_back(
        ops.pack({source.data(), DType::kF32, rows, cols}, type, buffers.back().get()));
  }
  const auto stride = static_cast<size_t>(cols) + 16;  // as forward.cpp has it
  std::vector<float> x(static_cast<size_t>(tokens) * stride, 0.5f);
  std::vector<float> out(static_cast<size_t>(tokens) * rows);
  const Buffer workspace = ops.allocate(ops.workspace_floats(tokens, cols));
  const ConstRows in{x.data(), tokens, cols, stride};
  const Rows to{out.data(), tokens, rows, static_cast<size_t>(rows)};
  for (auto _ : state) {
    ops.parallel([&] {
      for (const Matrix& w : matrices) {
        const Product products[] = {{&w, to}};
        ops.matmul(in, products, workspace.get());
      }
    });
  }
  const double n = static_cast<double>(count);
  report(state, n * 2.0 * tokens * rows * cols, n * static_cast<double>(bytes));
  state.SetLabel(std::string(name_of(type)) + ", " + std::to_string(tokens) + " tokens");
}
BENCHMARK(matmul)
    ->UseRealTime()
    ->ArgNames({"type", "tokens", "rows", "cols"})
    ->ArgsProduct({{static_cast<int>(DType::kBF16), static_cast<int>(DType::kQ8_0)},
                   {1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 32, 512},
                   {3072},
                   {1024}})
    ->ArgsProduct({{static_cast<int>(DType::kF32), static_cast<int>(DType::kF16)},
                   {1, 8, 512},
                   {3072},
                   {1024}})
    ->ArgsProduct({{static_cast<int>(DType::kBF16), static_cast<int>(DType::kQ8_0)},
                   {1, 4, 8},
                   {1024, 1152},
                   {384, 3072}});

// One layer of attention of `rows` verify rows behind a context: 16 query heads, 8 key heads.
void attention(benchmark::State& state) {
  const int rows = static_cast<int>(state.range(0)), context = static_cast<int>(state.range(1));
  const auto type = static_cast<DType>(state.range(2));
  const KvLayout layout{1, 8, 128, type};
  const int width = 16 * layout.head_dim;
  const CpuOps ops(kThreads);
  std::vector<Buffer> buffers;
  std::vector<std::byte*> pages;
  for (int p = 0; p < context + rows; p += kPageSize) {
    buffers.push_back(ops.allocate(layout.page_bytes() / sizeof(float)));
    pages.push_back(reinterpret_cast<std::byte*>(buffers.back().get()));
  }
  std::vector<float> q(static_cast<size_t>(rows) * width, 0.1f), out(q.size());
  const AttentionSpan span{0, rows, context, pages.data(), nullptr};
  for (auto _ : state) {
    ops.parallel([&] {
      ops.attention({q.data(), rows, width, static_cast<size_t>(width)}, std::span(&span, 1),
                    layout, 0, {out.data(), rows, width, static_cast<size_t>(width)});
    });
  }
  const double seen = context + rows / 2.0;
  report(state, 4.0 * rows * seen * width, static_cast<double>(pages.size() * layout.page_bytes()));
}
BENCHMARK(attention)
    ->UseRealTime()
    ->ArgNames({"rows", "context", "type"})
    ->ArgsProduct({{1, 8, 256},
                   {512, 4096},
                   {static_cast<int>(DType::kF32), static_cast<int>(DType::kBF16)}});

}  // namespace
}  // namespace orthrus

BENCHMARK_MAIN();
