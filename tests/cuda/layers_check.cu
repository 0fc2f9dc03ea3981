// Layers that run in one kernel against the same layers kernel by kernel: all that they leave has
// the same bits.
#include <algorithm>

#include "checks.h"
#include "device.cuh"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/device_features.h"
#include "kernels/cuda/layers.h"
#include "kernels/cuda/rows.h"

namespace orthrus::cuda {
namespace {

using Bf16 = __nv_bfloat16;

constexpr int kMostRows = 32, kMostSpans = 4;
constexpr int kMostPositions = 4096, kSpanPages = 52;
constexpr float kEps = 1e-6f;

struct Shape {
  LayersShape of;
  bool has_bias, has_norms;
};

// Real networks' with fewer layers, and one whose sizes are odd multiples of 64.
constexpr Shape kShapes[] = {{{{14, 2, 64}, 3, 896, 4864}, true, false},
                             {{{16, 8, 128}, 3, 1024, 3072}, false, true},
                             {{{16, 8, 128}, 2, 2048, 6144}, false, true},
                             {{{12, 2, 128}, 2, 1536, 8960}, true, false},
                             {{{9, 3, 64}, 3, 704, 1984}, true, true}};

struct Layer {
  Array<Bf16> qkv, o, gate_up, down, norms;
  Array<float> bias;
};

class Case {
 public:
  Case(const Shape& shape, uint64_t seed) : shape_(shape) {
    const auto& [heads, layers, hidden, intermediate] = shape.of;
    const auto array = [&](size_t rows, size_t cols, float scale) {
      Array<Bf16> a(rows * cols);
      fill(a, seed++, scale);
      return a;
    };
    std::vector<PackedLayer> packed(static_cast<size_t>(layers));
    for (int i = 0; i < layers; ++i) {
      layers_.push_back({array(qkv_rows(), hidden, 0.05f), array(hidden, q_cols(), 0.05f),
                         array(2 * intermediate, hidden, 0.05f), array(hidden, intermediate, 0.05f),
                         array(2, 2 * kMostHidden, 1), Array<float>(qkv_rows())});
      fill(layers_.back().bias, seed++, 1);
      CHECK_CUDA(pack_layer(weights(i), &packed[static_cast<size_t>(i)]));
    }
    packed_ = Array<PackedLayer>(packed);
    page_ = static_cast<size_t>(heads.kv_heads) * tile_elements(heads.head_dim);
    layer_stride_ = kMostSpans * kSpanPages * page_;
    start_cache_ = Array<Bf16>(static_cast<size_t>(layers) * layer_stride_);
    cache_ = Array<Bf16>(start_cache_.size()), block_ = Array<Bf16>(kMostSpans * page_);
    fill(start_cache_, seed++);
    start_x_ = Array<float>(size_t{kMostRows} * hidden), x_ = Array<float>(start_x_.size());
    fill(start_x_, seed++);
    normed_ = rows_of(hidden), q_ = rows_of(q_cols()), attended_ = rows_of(q_cols());
    gated_ = rows_of(intermediate);
    qkv_ = Array<float>(kMostRows * qkv_rows());
    rope_ = Array<float2>(size_t{kMostRows} * heads.head_dim / 2);
    inv_freq_ = Array<float>(std::vector<float>(heads.head_dim / 2, 0.01f));
    workspace_ = Array<char>(attention_workspace_bytes(heads, kMostRows, kMostPositions));
    arrived_.clear();
  }

  // `real` of `bucket` rows are there. `copies`: by row, pages that it belongs to, too.
  void set(int bucket, int real, const std::vector<KvSpan>& spans,
           const std::vector<std::vector<int>>& copies = {}) {
    bucket_ = bucket;
    // A span's pages lie together, in descending order; entries of copies come behind them.
    std::vector<int> table;
    for (int i = 0; i < kMostSpans * kSpanPages; ++i) {
      table.push_back(i / kSpanPages * kSpanPages + kSpanPages - 1 - i % kSpanPages);
    }
    std::vector<RowCopies> of_rows(kMostRows);
    for (size_t row = 0; row < copies.size(); ++row) {
      of_rows[row] = {static_cast<int>(table.size()), static_cast<int>(copies[row].size())};
      for (const int entry : copies[row]) table.push_back(table[static_cast<size_t>(entry)]);
    }
    table_ = Array<int>(table), spans_ = Array<KvSpan>(spans);
    copies_ = copies.empty() ? Array<RowCopies>() : Array<RowCopies>(of_rows);
    counts_ = Array<int>(std::vector<int>{real, static_cast<int>(spans.size())});
    positions_ = 1024;
    for (const KvSpan& span : spans) {
      while (positions_ < span.first_position + span.rows) positions_ *= 2;
    }
  }

  bool fits() const { return layers_fit(shape_.of, bucket_, positions_); }

  // What a pass leaves, in the device's memory.
  struct Result {
    Array<float> x;
    Array<Bf16> cache, block;
  };
  Result run(bool in_one) {
    for (Array<Bf16>* a : {&normed_, &q_, &attended_, &gated_, &block_}) a->poison();
    qkv_.poison(), rope_.poison(), workspace_.poison();
    copy(start_x_, x_), copy(start_cache_, cache_);
    CHECK_CUDA(cudaDeviceSynchronize());
    CHECK_CUDA(rope_table(batch(0), inv_freq_.data(), shape_.of.heads.head_dim, rope_.data(),
                          bucket_, nullptr));
    if (in_one) {
      run_in_one();
    } else {
      for (int i = 0; i < shape_.of.layers; ++i) run_layer(i);
    }
    CHECK_CUDA(cudaDeviceSynchronize());
    Result result = {Array<float>(x_.size()), Array<Bf16>(cache_.size()),
                     Array<Bf16>(block_.size())};
    copy(x_, result.x), copy(cache_, result.cache), copy(block_, result.block);
    return result;
  }

 private:
  static constexpr int kMostHidden = 2048;

  size_t q_cols() const {
    return static_cast<size_t>(shape_.of.heads.heads) * shape_.of.heads.head_dim;
  }
  size_t qkv_rows() const {
    return q_cols() + 2 * static_cast<size_t>(shape_.of.heads.kv_heads) * shape_.of.heads.head_dim;
  }
  static Array<Bf16> rows_of(size_t cols) { return Array<Bf16>(kMostRows * cols); }
  template <typename T>
  static void copy(const Array<T>& from, const Array<T>& to) {
    CHECK_CUDA(cudaMemcpy(to.data(), from.data(), from.size() * sizeof(T), cudaMemcpyDefault));
  }

  LayerWeights weights(int i) const {
    const Layer& layer = layers_[static_cast<size_t>(i)];
    const auto& [heads, layers, hidden, intermediate] = shape_.of;
    const Bf16* const norms = layer.norms.data();
    const int q = static_cast<int>(q_cols());
    return {.qkv = {layer.qkv.data(), static_cast<int>(qkv_rows()), hidden},
            .o = {layer.o.data(), hidden, q},
            .gate_up = {layer.gate_up.data(), 2 * intermediate, hidden},
            .down = {layer.down.data(), hidden, intermediate},
            .input_norm = norms,
            .post_attention_norm = norms + kMostHidden,
            .qkv_bias = shape_.has_bias ? layer.bias.data() : nullptr,
            .q_norm = shape_.has_norms ? norms + 2 * kMostHidden : nullptr,
            .k_norm = shape_.has_norms ? norms + 3 * kMostHidden : nullptr};
  }

  KvBatch batch(int layer) const {
    return {.spans = spans_.data(),
            .span_count = counts_.data() + 1,
            .page_table = table_.data(),
            .cache = {cache_.data() + static_cast<size_t>(layer) * layer_stride_, page_},
            .block = {block_.data(), page_},
            .copies = copies_.size() > 0 ? copies_.data() : nullptr};
  }

  void run_in_one() const {
    CHECK_CUDA(run_layers({.shape = shape_.of,
                           .layers = packed_.data(),
                           .batch = batch(0),
                           .cache_layer_stride = layer_stride_,
                           .rope = rope_.data(),
                           .eps = kEps,
                           .bucket = bucket_,
                           .positions = positions_,
                           .count = counts_.data(),
                           .x = x_.data(),
                           .q = q_.data(),
                           .attended = attended_.data(),
                           .gated = gated_.data(),
                           .attention_workspace = workspace_.data(),
                           .arrived = arrived_.data()},
                          nullptr));
  }

  void run_layer(int i) const {
    const auto& [heads, layers, hidden, intermediate] = shape_.of;
    const LayerWeights w = weights(i);
    const auto tokens = [&](const Array<Bf16>& x, size_t cols) {
      return Tokens{x.data(), cols, bucket_, counts_.data()};
    };
    const auto norm = [&](const Bf16* weight) {
      CHECK_CUDA(rms_norm(x_.data(), nullptr, weight, kEps, hidden, normed_.data(), bucket_,
                          counts_.data(), nullptr));
    };
    const auto cols = static_cast<size_t>(hidden);
    norm(w.input_norm);
    CHECK_CUDA(matmul_qkv(tokens(normed_, cols), w.qkv, heads,
                          {w.qkv_bias, w.q_norm, w.k_norm, rope_.data(), kEps}, batch(i), q_.data(),
                          qkv_.data(), nullptr));
    CHECK_CUDA(attention(q_.data(), heads, batch(i), attended_.data(), workspace_.data(), bucket_,
                         positions_, nullptr));
    CHECK_CUDA(matmul_add(tokens(attended_, q_cols()), w.o, x_.data(), cols, nullptr));
    norm(w.post_attention_norm);
    CHECK_CUDA(matmul_swiglu(tokens(normed_, cols), w.gate_up, gated_.data(),
                             static_cast<size_t>(intermediate), nullptr));
    CHECK_CUDA(matmul_add(tokens(gated_, static_cast<size_t>(intermediate)), w.down, x_.data(),
                          cols, nullptr));
  }

  const Shape shape_;
  std::vector<Layer> layers_;
  Array<PackedLayer> packed_;
  size_t page_ = 0, layer_stride_ = 0;
  int bucket_ = 0, positions_ = 0;
  Array<float> start_x_, x_, qkv_, inv_freq_;
  Array<Bf16> start_cache_, cache_, block_, normed_, q_, attended_, gated_;
  Array<float2> rope_;
  Array<char> workspace_;
  Array<unsigned> arrived_ = Array<unsigned>(1);
  Array<int> table_, counts_;
  Array<KvSpan> spans_;
  Array<RowCopies> copies_;
};

// The rows shared out among some spans, a page table's part each.
std::vector<KvSpan> spans_of(int rows, int spans, int position, bool diffusion) {
  std::vector<KvSpan> result;
  for (int i = 0, row = 0; i < spans; ++i) {
    const int own = (rows - row) / (spans - i);
    result.push_back({row, own, std::max(position - 3 * i, 0), i * kSpanPages, diffusion ? i : -1});
    row += own;
  }
  return result;
}

void compare(Checks& checks, Case& test, const char* what, int shape, int rows, int position,
             int repeats) {
  if (!test.fits()) {
    std::printf("shape %d, %d rows behind %d: kernel by kernel\n", shape, rows, position);
    return;
  }
  const Case::Result expected = test.run(false);
  for (int i = 0; i < repeats; ++i) {
    const Case::Result got = test.run(true);
    const auto x = count_different<uint32_t>(got.x.data(), expected.x.data(), got.x.size());
    const auto cache =
        count_different<uint16_t>(got.cache.data(), expected.cache.data(), got.cache.size());
    const auto block =
        count_different<uint16_t>(got.block.data(), expected.block.data(), got.block.size());
    checks.expect(x + cache + block == 0,
                  "layers, %s, shape %d, %d rows behind %d: %llu numbers of the residual stream, "
                  "%llu of the cache, %llu of the block",
                  what, shape, rows, position, x, cache, block);
  }
}

}  // namespace

void check_layers(Checks& checks) {
  if (!has_wgmma()) return;
  for (int s = 0; s < static_cast<int>(std::size(kShapes)); ++s) {
    Case test(kShapes[s], checks.seed + 1000 * s);
    for (const int rows : {1, 2, 7, 8, 16, 32}) {
      const int bucket = rows == 7 ? 8 : rows;
      for (const int position : {0, 63, 64, 65, 255, 256, 257, 700, 3000}) {
        const int repeats = position == 700 ? 50 : 1;
        for (const bool diffusion : {false, true}) {
          const char* const view = diffusion ? "diffusion view" : "AR view";
          for (const int spans : {1, 3}) {
            if (spans > rows) continue;
            test.set(bucket, rows, spans_of(rows, spans, position, diffusion));
            compare(checks, test, view, s, rows, position, repeats);
          }
        }
        if (rows < 4) continue;
        // A trunk of two rows, a branch behind each; both rows, or the first, stand before them.
        const int page = (position + 1) / kTilePositions, rest = rows - 3;
        std::vector<KvSpan> spans = {{0, 2, position, 0},
                                     {2, 1, position + 1, kSpanPages},
                                     {3, rest, position + 2, 2 * kSpanPages}};
        spans[1].behind = 1, spans[2].behind = 2;
        test.set(bucket, rows, spans,
                 {{kSpanPages + page, 2 * kSpanPages + page}, {2 * kSpanPages + page}});
        compare(checks, test, "branches", s, rows, position, repeats);
      }
      // Fewer rows than the kernels are launched for, or none.
      for (const int real : {0, rows / 2}) {
        test.set(bucket, real, {{0, real, 500, 0}});
        compare(checks, test, "few are real", s, real, 500, 1);
      }
    }
  }
}

}  // namespace orthrus::cuda
