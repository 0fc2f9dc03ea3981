#include "orthrus/measure.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <random>
#include <vector>

#include "engine/engine_impl.h"
#include "kernels/cpu/roofline.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void check(const PassShape& shape, const ModelConfig& config) {
  const bool draft = shape.kind == PassKind::kDraft;
  if (draft && !config.has_diffusion_view()) {
    throw Error(ErrorKind::kUsage, "This checkpoint has no diffusion view, so no draft pass.");
  }
  const int least = draft ? 2 : 1;
  const int most = draft ? config.block_size : config.max_position_embeddings;
  if (shape.rows < least || shape.rows > most) {
    throw Error(ErrorKind::kUsage,
                fmt::format("a pass of {} rows; valid is {} to {}.", shape.rows, least, most));
  }
  if (shape.context < 0 || shape.context > config.max_position_embeddings - shape.rows) {
    throw Error(
        ErrorKind::kUsage,
        fmt::format("a pass of {} rows behind a context of {}; valid is a context of 0 to "
                    "{}.",
                    shape.rows, shape.context, config.max_position_embeddings - shape.rows));
  }
}

// Rows that the LM head runs for.
int head_rows(const PassShape& shape) {
  if (shape.kind == PassKind::kPrefill) return 1;
  return shape.kind == PassKind::kDraft ? shape.rows - 1 : shape.rows;
}

PassMeasurement cost_of(const PassShape& shape, const Model& model, const Ops& ops) {
  const ModelConfig& c = model.config;
  const View view = shape.kind == PassKind::kDraft ? View::kDiffusion : View::kAutoregressive;
  PassMeasurement cost;
  cost.shape = shape;
  cost.weights = model.weights.layers.front().mlp[static_cast<int>(view)].down_proj.type;
  const auto add = [&](const Matrix& w, int rows) {
    cost.bytes += static_cast<double>(ops.packed_bytes(w.type, w.rows, w.cols));
    cost.flops += 2.0 * rows * w.rows * w.cols;
  };
  for (const LayerWeights& layer : model.weights.layers) {
    const AttentionWeights& w = layer.attention[static_cast<int>(view)];
    const MlpWeights& mlp = layer.mlp[static_cast<int>(view)];
    for (const Matrix* matrix : {&w.q_proj, &w.k_proj, &w.v_proj, &w.o_proj, &mlp.gate_proj,
                                 &mlp.up_proj, &mlp.down_proj}) {
      add(*matrix, shape.rows);
    }
  }
  add(model.weights.lm_head[static_cast<int>(view)], head_rows(shape));
  const double seen = view == View::kDiffusion
                          ? double(shape.context + shape.rows) * shape.rows
                          : (shape.context + (shape.rows + 1) / 2.0) * shape.rows;
  cost.flops += 4.0 * seen * c.num_attention_heads * c.head_dim * c.num_hidden_layers;
  const KvLayout layout = model.kv_layout();
  cost.bytes += static_cast<double>(layout.page_bytes()) * (shape.context + shape.rows) / kPageSize;
  return cost;
}

// A sequence in whose cache lie random keys and values.
class RandomContext {
 public:
  RandomContext(const Model& model, const Ops& ops, int longest)
      : pool_(ops, model.kv_layout(), static_cast<size_t>(longest) / kPageSize + 1),
        sequence_(pool_) {
    begin_at(longest);
    std::minstd_rand random;
    const size_t words = model.kv_layout().page_bytes() / sizeof(uint16_t);
    for (int page = 0; page * kPageSize < longest; ++page) {
      auto* const to = reinterpret_cast<uint16_t*>(sequence_.pages()[page]);
      // BF16 numbers of 0.5 to 1; two of them are a float of that size.
      for (size_t i = 0; i < words; ++i) {
        to[i] = static_cast<uint16_t>(0x3f00 | (random() >> 8 & 0x7f));
      }
    }
  }

  void begin_at(int context) {
    sequence_.crop(0);
    if (sequence_.reserve(context) != Status::kOk) {
      throw Error(ErrorKind::kSystem, fmt::format("no memory for a context of {}.", context));
    }
    sequence_.extend(context);
  }
  KvSequence* sequence() { return &sequence_; }

 private:
  KvPool pool_;
  KvSequence sequence_;
};

void run(ForwardPass& pass, const PassShape& shape, std::span<const int32_t> tokens,
         KvSequence* sequence) {
  const bool prefill = shape.kind == PassKind::kPrefill;
  const bool draft = shape.kind == PassKind::kDraft;
  const int begin = prefill ? shape.rows - 1 : 0;
  const Span span{.sequence = sequence,
                  .tokens = tokens,
                  .view = draft ? View::kDiffusion : View::kAutoregressive,
                  .logits_begin = begin,
                  .logits_end = begin + head_rows(shape),
                  .output = draft ? HeadOutput::kChoiceAndProbability : HeadOutput::kChoice};
  if (const Status status = pass.run(std::span(&span, 1)); status != Status::kOk) {
    throw Error(ErrorKind::kSystem,
                fmt::format("a pass of {} rows failed: {}.", shape.rows, describe(status)));
  }
}

}  // namespace

Roofline Engine::measure(std::span<const PassShape> shapes, int rounds) const {
  if (rounds < 1) {
    throw Error(ErrorKind::kUsage, fmt::format("rounds is {}; valid is 1 or more.", rounds));
  }
  const auto* const on_cpu = dynamic_cast<const CpuModel*>(impl_->model.get());
  if (on_cpu == nullptr) {
    throw Error(ErrorKind::kUnsupported, "Only passes on the processor can be measured so.");
  }
  const Model& model = on_cpu->model();
  const CpuOps& ops = on_cpu->ops();
  const int threads = impl_->threads;
  Roofline result;
  int longest = 0, most_rows = 1;
  for (const PassShape& shape : shapes) {
    check(shape, model.config);
    result.passes.push_back(cost_of(shape, model, ops));
    longest = std::max(longest, shape.context + shape.rows);
    most_rows = std::max(most_rows, shape.rows);
  }
  // Different tokens, as far as the vocabulary goes.
  std::vector<int32_t> tokens(static_cast<size_t>(most_rows));
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = static_cast<int32_t>(i * 7919 % static_cast<size_t>(model.config.vocab_size));
  }
  // More than caches hold.
  const std::vector<float> memory(size_t{256} << 20 >> 2, 1.0f);
  RandomContext context(model, ops, longest);
  CpuForwardPass pass(model, ops);

  struct Samples {
    std::vector<double> seconds, bytes, flops, pair_flops, byte_flops;
    MachineRates machine() const {
      return {median(bytes), median(flops), median(pair_flops), median(byte_flops)};
    }
  };
  Samples all;
  std::vector<Samples> of_shape(shapes.size());
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < shapes.size(); ++i) {
      double done = 0, pair_done = 0, byte_done = 0;
      const double reading = seconds_of([&] { cpu::read_all(memory, threads); });
      const double adding = seconds_of([&] { done = cpu::run_multiply_adds(threads); });
      const double pair_adding =
          seconds_of([&] { pair_done = cpu::run_pair_multiply_adds(threads); });
      const double byte_adding =
          seconds_of([&] { byte_done = cpu::run_byte_multiply_adds(threads); });
      for (Samples* const samples : {&all, &of_shape[i]}) {
        samples->bytes.push_back(static_cast<double>(memory.size() * sizeof(float)) / reading);
        samples->flops.push_back(done / adding);
        samples->pair_flops.push_back(pair_done / pair_adding);
        samples->byte_flops.push_back(byte_done / byte_adding);
      }
      const auto own_tokens = std::span(tokens).first(static_cast<size_t>(shapes[i].rows));
      const auto pass_once = [&] {
        context.begin_at(shapes[i].context);
        run(pass, shapes[i], own_tokens, context.sequence());
      };
      pass_once();  // what caches hold should be what a pass left there, as it is while decoding
      of_shape[i].seconds.push_back(seconds_of(pass_once));
    }
  }
  if (!shapes.empty()) result.machine = all.machine();
  for (size_t i = 0; i < shapes.size(); ++i) {
    result.passes[i].machine = of_shape[i].machine();
    result.passes[i].seconds = median(of_shape[i].seconds);
  }
  return result;
}

}  // namespace orthrus
