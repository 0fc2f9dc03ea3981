// How fast the kernels are: GFLOP/s of products by weight type and tokens, GB/s of weights read,
// attention by context. The first two lines say what the machine gives: fused multiply-adds in
// registers, and a plain read of memory.
#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/roofline.h"
#include "kernels/formats/format.h"

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
  const cpu::Crews crews(kThreads);
  double flops = 0;
  for (auto _ : state) flops = cpu::run_multiply_adds(crews);
  report(state, flops, 0);
}
BENCHMARK(multiply_adds)->UseRealTime();

void pair_multiply_adds(benchmark::State& state) {
  const cpu::Crews crews(kThreads);
  double flops = 0;
  for (auto _ : state) flops = cpu::run_pair_multiply_adds(crews);
  report(state, flops, 0);
}
BENCHMARK(pair_multiply_adds)->UseRealTime();

void byte_multiply_adds(benchmark::State& state) {
  const cpu::Crews crews(kThreads);
  double flops = 0;
  for (auto _ : state) flops = cpu::run_byte_multiply_adds(crews);
  report(state, flops, 0);
}
BENCHMARK(byte_multiply_adds)->UseRealTime();

void read_memory(benchmark::State& state) {
  const std::vector<float> memory(size_t{256} << 20 >> 2, 1.0f);
  const cpu::Crews crews(kThreads);
  for (auto _ : state) benchmark::DoNotOptimize(cpu::read_all(memory, crews));
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
  const auto stride = static_cast<size_t>(cols) + 16;  // as cpu_forward.cpp has it
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

// All matrix products of a pass of Qwen2.5-0.5B in Q4_K_M, whose 392 MB are of five formats. The LM
// head runs for every row of up to 32, as in verify passes, else for one, as in prefill.
class MixedModel {
 public:
  explicit MixedModel(const Ops& ops) : ops_(ops) {
    for (int i = 0; i < kLayers; ++i) {
      const bool high = i % 2 == 0;  // half of the layers have better v and down
      layers_.push_back({matrix(DType::kQ5_0, 896, 896), matrix(DType::kQ5_0, 128, 896),
                         matrix(high ? DType::kQ8_0 : DType::kQ5_0, 128, 896),
                         matrix(DType::kQ5_0, 896, 896), matrix(DType::kQ5_0, 4864, 896),
                         matrix(DType::kQ5_0, 4864, 896),
                         matrix(high ? DType::kQ6_K : DType::kQ4_K, 896, 4864)});
    }
    head_ = matrix(DType::kQ8_0, 151936, 896);
  }

  double bytes() const { return bytes_; }
  double flops(int rows, int head_rows) const {
    return 2 * (rows * weights_ + head_rows * 136134656.0);
  }

  void pass(int rows, int head_rows, const Buffer& workspace, const Buffer& x, const Buffer& added,
            const Buffer& out, std::span<Choice> choices) const {
    const auto view = [&](const Buffer& of, int cols) {
      return Rows{of.get(), rows, cols, static_cast<size_t>(cols) + 16};
    };
    const Rows hidden = view(x, 896), sink = view(added, 896), wide = view(out, 4864);
    const size_t q = static_cast<size_t>(rows) * 912;
    const Rows q_out = view(out, 896);
    const Rows k_out{out.get() + q, rows, 128, 144}, v_out{out.get() + 2 * q, rows, 128, 144};
    for (const Layer& w : layers_) {
      const Product products[] = {{&w.q, q_out}, {&w.k, k_out}, {&w.v, v_out}};
      ops_.matmul(hidden, products, workspace.get());
      ops_.matmul_add(q_out, w.o, sink, workspace.get());
      ops_.matmul_swiglu(hidden, w.gate, w.up, wide, workspace.get());
      ops_.matmul_add(wide, w.down, sink, workspace.get());
    }
    ops_.matmul_top(hidden.slice(rows - head_rows, head_rows), head_, true, choices,
                    workspace.get());
  }

 private:
  static constexpr int kLayers = 24;
  struct Layer {
    Matrix q, k, v, o, gate, up, down;
  };

  Matrix matrix(DType type, int rows, int cols) {
    const Format& format = format_of(type);
    std::vector<std::byte> blocks(bytes_of(format, static_cast<size_t>(rows) * cols));
    // Without the highest bit of an exponent, so that no scale is infinite.
    for (std::byte& b : blocks) b = static_cast<std::byte>(random_() & 0xbf);
    buffers_.push_back(ops_.allocate(ops_.packed_bytes(type, rows, cols) / sizeof(float) + 1));
    bytes_ += static_cast<double>(blocks.size());
    if (rows < 100000) weights_ += static_cast<double>(rows) * cols;
    return ops_.pack({blocks.data(), type, rows, cols}, type, buffers_.back().get());
  }

  const Ops& ops_;
  std::minstd_rand random_{1};
  std::vector<Buffer> buffers_;
  std::vector<Layer> layers_;
  Matrix head_;
  double bytes_ = 0, weights_ = 0;
};

void mixed_model(benchmark::State& state) {
  static const CpuOps ops(kThreads);
  static const MixedModel model(ops);
  const int rows = static_cast<int>(state.range(0)), head_rows = rows <= 32 ? rows : 1;
  const Buffer workspace = ops.allocate(ops.workspace_floats(rows, 4864));
  const Buffer x = ops.allocate(static_cast<size_t>(rows) * 912);
  const Buffer added = ops.allocate(static_cast<size_t>(rows) * 912);
  const Buffer out = ops.allocate(static_cast<size_t>(rows) * 4880);
  for (size_t i = 0; i < static_cast<size_t>(rows) * 912; ++i) x[i] = static_cast<float>(i % 7) - 3;
  std::vector<Choice> choices(head_rows);
  for (auto _ : state) {
    ops.parallel([&] { model.pass(rows, head_rows, workspace, x, added, out, choices); });
  }
  report(state, model.flops(rows, head_rows), model.bytes());
  state.counters["tokens/s"] = benchmark::Counter(static_cast<double>(state.iterations()) * rows,
                                                  benchmark::Counter::kIsRate);
}
BENCHMARK(mixed_model)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond)
    ->ArgName("rows")
    ->ArgsProduct({{1, 2, 4, 7, 8, 12, 15, 16, 32, 512}});

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
  const Buffer workspace = ops.allocate(ops.attention_floats(layout));
  for (auto _ : state) {
    ops.parallel([&] {
      ops.attention({q.data(), rows, width, static_cast<size_t>(width)}, std::span(&span, 1),
                    layout, 0, {out.data(), rows, width, static_cast<size_t>(width)},
                    workspace.get());
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
