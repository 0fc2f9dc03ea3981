// How fast the CUDA kernels are on the shapes of the published models, with random weights: passes
// captured in one graph each, as the decoder runs them, beside the device's copy bandwidth; passes
// by how the weights are stored; and the choice of drafts from logits.
//
//   cuda_bench [8b] [4b] [1.7b] [1.5b] [0.6b] [0.5b] [drafts] [weights]

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>

#include "device.cuh"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/branches.h"
#include "kernels/cuda/matmul.h"
#include "kernels/cuda/pairwise.h"
#include "kernels/cuda/roofline.h"
#include "kernels/cuda/rows.h"

namespace orthrus::cuda {
namespace {

using Bf16 = __nv_bfloat16;

struct Shape {
  const char* name;
  int layers, hidden, intermediate, vocabulary;
  Heads heads;
  bool has_bias = false;  // and no norms of heads

  int q_cols() const { return heads.heads * heads.head_dim; }
  int qkv_cols() const { return (heads.heads + 2 * heads.kv_heads) * heads.head_dim; }
};

constexpr Shape kShapes[] = {{"8b", 36, 4096, 12288, 151936, {32, 8, 128}},
                             {"4b", 36, 2560, 9728, 151936, {32, 8, 128}},
                             {"1.7b", 28, 2048, 6144, 151936, {16, 8, 128}},
                             {"1.5b", 28, 1536, 8960, 151936, {12, 2, 128}, true},
                             {"0.6b", 28, 1024, 3072, 151936, {16, 8, 128}},
                             {"0.5b", 24, 896, 4864, 151936, {14, 2, 64}, true}};

// The median of some replays of what `enqueue` does, in milliseconds.
double milliseconds(cudaStream_t stream, const std::function<void()>& enqueue, int replays = 9) {
  cudaGraph_t graph;
  cudaGraphExec_t replay;
  cudaEvent_t begin, end;
  CHECK_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  enqueue();
  CHECK_CUDA(cudaStreamEndCapture(stream, &graph));
  CHECK_CUDA(cudaGraphInstantiate(&replay, graph, 0));
  CHECK_CUDA(cudaEventCreate(&begin));
  CHECK_CUDA(cudaEventCreate(&end));
  std::vector<float> times;
  for (int i = 0; i < replays + 2; ++i) {
    float time = 0;
    CHECK_CUDA(cudaEventRecord(begin, stream));
    CHECK_CUDA(cudaGraphLaunch(replay, stream));
    CHECK_CUDA(cudaEventRecord(end, stream));
    CHECK_CUDA(cudaEventSynchronize(end));
    CHECK_CUDA(cudaEventElapsedTime(&time, begin, end));
    if (i >= 2) times.push_back(time);
  }
  CHECK_CUDA(cudaEventDestroy(begin));
  CHECK_CUDA(cudaEventDestroy(end));
  CHECK_CUDA(cudaGraphExecDestroy(replay));
  CHECK_CUDA(cudaGraphDestroy(graph));
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

// In TB/s, bytes read and written: by a kernel, and by the driver's copy.
double copy_bandwidth(cudaStream_t stream) {
  constexpr size_t kBytes = size_t{2} << 30;
  const Array<uint32_t> from(kBytes / 4), to(kBytes / 4);
  fill_kernel<<<1024, 256>>>(reinterpret_cast<float*>(from.data()), kBytes / 4, 1, 1.0f, 0);
  const double kernel =
      milliseconds(stream, [&] { CHECK_CUDA(copy_once(from.data(), to.data(), kBytes, stream)); });
  const double driver = milliseconds(stream, [&] {
    CHECK_CUDA(cudaMemcpyAsync(to.data(), from.data(), kBytes, cudaMemcpyDeviceToDevice, stream));
  });
  const double rate = 2.0 * kBytes / std::min(kernel, driver) / 1e9;
  std::printf("copy: %.3f TB/s by a kernel, %.3f by the driver\n", 2.0 * kBytes / kernel / 1e9,
              2.0 * kBytes / driver / 1e9);
  return rate;
}

enum class View { kAr, kDiffusion };

struct Weights {
  Array<std::byte> data;
  int rows = 0, cols = 0;
  WeightForm form = WeightForm::kBf16;

  MatrixView view() const { return {data.data(), rows, cols, form}; }
};

// Random integers, and one scale; in the last two of four places, where some forms have minimums,
// `second`.
__global__ void fill_subtiles_kernel(uint8_t* to, size_t size, uint64_t seed, int number_bytes,
                                     int subtile_bytes, uint16_t scale, uint16_t second) {
  const size_t step = static_cast<size_t>(gridDim.x) * blockDim.x;
  for (size_t i = blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x; i < size; i += step) {
    const int at = static_cast<int>(i % subtile_bytes), in_scales = at - number_bytes;
    const uint16_t stored = in_scales / 2 % 4 < 2 ? scale : second;
    to[i] = static_cast<uint8_t>(in_scales < 0 ? hash(seed, i) : stored >> i % 2 * 8);
  }
}

struct Layer {
  Weights qkv, o, gate_up, down;
  Array<Bf16> norms;
  Array<float> bias;
};

Weights random_weights(int rows, int cols, WeightForm form, uint64_t seed) {
  const float largest = 1.7f / std::sqrt(static_cast<float>(cols));
  Weights w = {{}, rows, cols, form};
  if (form == WeightForm::kBf16) {
    const size_t size = static_cast<size_t>(rows) * cols;
    w.data = Array<std::byte>(size * sizeof(Bf16));
    fill_kernel<<<1024, 256>>>(reinterpret_cast<Bf16*>(w.data.data()), size, seed, largest, 0);
  } else {
    w.data = Array<std::byte>(packed_bytes(form, row_groups(rows), cols));
    const int number_bytes = form == WeightForm::kQ4   ? Q4Layout::kScalesAt
                             : form == WeightForm::kQ5 ? Q5Layout::kScalesAt
                             : form == WeightForm::kQ6 ? Q6Layout::kScalesAt
                                                       : Q8Layout::kScalesAt;
    const auto bits = [](float x) { return __bfloat16_as_ushort(__float2bfloat16(x)); };
    // So that numbers are `largest` at most, whatever the integers: on both sides of zero.
    const bool has_minimums = form == WeightForm::kQ4 || form == WeightForm::kQ5;
    const float middle = form == WeightForm::kQ4   ? 7.5f
                         : form == WeightForm::kQ5 ? 15.5f
                         : form == WeightForm::kQ6 ? 32
                                                   : 128;
    const uint16_t scale = bits(largest / middle * kScaleUp);
    fill_subtiles_kernel<<<1024, 256>>>(reinterpret_cast<uint8_t*>(w.data.data()), w.data.size(),
                                        seed, number_bytes, subtile_bytes(form), scale,
                                        has_minimums ? bits(-largest * kMinimumUp) : scale);
  }
  CHECK_CUDA(cudaGetLastError());
  return w;
}

// A network with random weights, a cache, and what a pass works in.
class PassKernels {
 public:
  static constexpr int kMostRows = 4096, kMostPositions = 33 * 1024, kMostBlock = 128;
  static constexpr int kCachePositions = 73 * 1024;  // of all sequences

  PassKernels(const Shape& shape, cudaStream_t stream, WeightForm form = WeightForm::kBf16)
      : shape_(shape), stream_(stream) {
    const auto weights = [&](int rows, int cols) {
      Weights w = random_weights(rows, cols, form, bytes_);
      bytes_ += w.data.size(), count_of_weights_ += static_cast<size_t>(rows) * cols;
      return w;
    };
    for (int i = 0; i < shape.layers; ++i) {
      layers_.push_back(
          {weights(shape.qkv_cols(), shape.hidden), weights(shape.hidden, shape.q_cols()),
           weights(2 * shape.intermediate, shape.hidden), weights(shape.hidden, shape.intermediate),
           Array<Bf16>(8192), Array<float>(static_cast<size_t>(shape.qkv_cols()))});
      fill(layers_.back().norms, 7), fill(layers_.back().bias, 8);
    }
    head_ = weights(shape.vocabulary, shape.hidden);
    table_of_ids_ = Array<Bf16>(static_cast<size_t>(shape.hidden));  // all ids are 0
    fill(table_of_ids_, 11);
    const Heads& heads = shape.heads;
    layer_stride_ = static_cast<size_t>(heads.kv_heads) * tile_elements(heads.head_dim);
    const int pages = kCachePositions / kTilePositions;
    cache_ = Array<Bf16>(pages * shape.layers * layer_stride_);
    block_ = Array<Bf16>(kMostBlock / kTilePositions * layer_stride_);
    fill(cache_, 9), fill(block_, 10);
    std::vector<int> table(pages);
    for (int i = 0; i < pages; ++i) table[i] = i * 7 % pages;
    table_ = Array<int>(table);
    std::vector<float> frequencies;
    for (int i = 0; i < heads.head_dim / 2; ++i) {
      frequencies.push_back(static_cast<float>(std::pow(1e6, -2.0 * i / heads.head_dim)));
    }
    inv_freq_ = Array<float>(frequencies);
    rope_ = Array<float2>(static_cast<size_t>(kMostRows) * heads.head_dim / 2);
    const auto rows = static_cast<size_t>(kMostRows);
    x_ = Array<float>(rows * shape.hidden), qkv_ = Array<float>(rows * shape.qkv_cols());
    normed_ = Array<Bf16>(rows * shape.hidden), q_ = Array<Bf16>(rows * shape.q_cols());
    attended_ = Array<Bf16>(rows * shape.q_cols());
    gated_ = Array<Bf16>(rows * shape.intermediate);
    fill(normed_, 1), fill(q_, 2), fill(attended_, 3), fill(gated_, 4);
    tops_ = Array<Choice>(rows);
    top_workspace_ = Array<char>(top_workspace_bytes(128, head()));
    attention_workspace_ =
        Array<char>(attention_workspace_bytes(heads, kMostRows, 2 * kMostPositions));
    ids_ = Array<int32_t>(rows), count_ = Array<int>(2), head_rows_ = Array<int>(1);
    ids_.clear(), head_rows_.clear();
    spans_ = Array<KvSpan>(kMostRows), span_count_ = Array<int>(1);
  }

  // The rows of the passes to come, of each of some sequences, and the position of the first.
  void set(View view, int rows, int position, int sequences = 1) {
    view_ = view, rows_ = rows * sequences, positions_ = 1024;
    is_tree_ = false, alone_ = sequences == 1;
    while (positions_ < position + rows) positions_ *= 2;
    const int pages = (position + rows + kTilePositions - 1) / kTilePositions;
    std::vector<KvSpan> spans;
    for (int i = 0; i < sequences; ++i) {
      spans.push_back({i * rows, rows, position, i * pages, view == View::kDiffusion ? 0 : -1});
    }
    upload(spans);
  }

  // The same of a draft tree: a trunk, and branches of a few rows each, which leave it one behind
  // the other.
  void set_tree(int trunk, int branches, int branch_rows, int position) {
    set(View::kAr, trunk + branches * branch_rows, position);
    is_tree_ = true, alone_ = false;
    const int page = position / kTilePositions, pages = (position + rows_) / kTilePositions + 1;
    std::vector<int> table;
    std::vector<RowCopies> copies(kMostRows);
    std::vector<KvSpan> spans;
    const auto add_span = [&](KvSpan span) {
      span.first_page = static_cast<int>(table.size());
      for (int i = 0; i < pages; ++i) {
        const int own = i < page ? i : pages * static_cast<int>(1 + spans.size()) + i - page;
        table.push_back(own * 7 % (kCachePositions / kTilePositions));
      }
      spans.push_back(span);
    };
    add_span({.rows = trunk, .first_position = position, .tree_rows = rows_});
    const int trunk_page = table[static_cast<size_t>(page)];
    for (int b = 0; b < branches; ++b) {
      KvSpan span = {trunk + b * branch_rows, branch_rows, position + 1 + b % trunk};
      span.behind = 1 + b % trunk;
      if (span.first_position / kTilePositions == page) span.copied_page = trunk_page;
      add_span(span);
    }
    for (int row = 0; row < trunk; ++row) {
      copies[static_cast<size_t>(row)].first = static_cast<int>(table.size());
      for (const KvSpan& span : spans) {
        const int own = span.first_position / kTilePositions;
        if (span.behind <= row || (position + row) / kTilePositions != own) continue;
        table.push_back(table[static_cast<size_t>(span.first_page + own)]);
        ++copies[static_cast<size_t>(row)].count;
      }
    }
    tree_table_ = Array<int>(table), copies_ = Array<RowCopies>(copies);
    upload(spans);
  }

  void products(bool with_head = true) const {
    for (const Layer& layer : layers_) {
      project(layer), output(layer), mlp(layer, tokens(normed_, shape_.hidden));
    }
    if (with_head) top(tokens(normed_, shape_.hidden));
  }

  void attentions() const {
    for (size_t i = 0; i < layers_.size(); ++i) attend(i);
  }

  // `last_only`: the head runs for one row, as it does in a prefill.
  void pass(bool last_only) const {
    if (is_tree_) {
      CHECK_CUDA(copy_known(batch(0), shape_.heads, shape_.layers,
                            kCachePositions / kTilePositions * layer_stride_, rows_, stream_));
    }
    CHECK_CUDA(embed(table_of_ids_.data(), ids_.data(), shape_.hidden, x_.data(), rows_,
                     count_.data(), stream_));
    CHECK_CUDA(rope_table(batch(0), inv_freq_.data(), shape_.heads.head_dim, rope_.data(), rows_,
                          stream_));
    for (size_t i = 0; i < layers_.size(); ++i) {
      const Layer& layer = layers_[i];
      project_and_store(layer, normed(layer), i);
      attend(i);
      output(layer);
      mlp(layer, normed(layer));
    }
    const int head_rows = last_only ? 1 : rows_;
    const int* const head_count = last_only ? count_.data() + 1 : count_.data();
    top(normed(layers_[0], last_only ? head_rows_.data() : nullptr, head_rows, head_count));
  }

  double time(const std::function<void()>& enqueue) const { return milliseconds(stream_, enqueue); }

  // Of a pass, or there was nothing to measure: weights were not what they should be.
  void check_logits() const {
    const std::vector<Choice> tops = tops_.host();
    for (int i = 0; i < rows_; ++i) {
      if (tops[static_cast<size_t>(i)].id >= 0) continue;
      std::fprintf(stderr, "%s: logits are not finite\n", shape_.name);
      std::exit(1);
    }
  }

  // Bytes of all weights, and of the keys and values of some positions.
  double weight_bytes() const { return static_cast<double>(bytes_); }
  double kv_bytes(int positions) const {
    return 4.0 * shape_.layers * shape_.heads.kv_heads * shape_.heads.head_dim * positions;
  }
  // Multiplications and additions of a causal pass from position 0.
  double prefill_operations(int rows) const {
    return 2 * layer_weights() * rows + 2.0 * rows * rows * shape_.q_cols() * shape_.layers;
  }
  double layer_weights() const {
    return static_cast<double>(count_of_weights_) - 1.0 * shape_.vocabulary * shape_.hidden;
  }

 private:
  MatrixView head() const { return head_.view(); }
  Tokens tokens(const Array<Bf16>& x, int cols) const {
    return {x.data(), static_cast<size_t>(cols), rows_, count_.data()};
  }
  KvBatch batch(size_t layer) const {
    return {
        spans_.data(),
        span_count_.data(),
        (is_tree_ ? tree_table_ : table_).data(),
        // A layer's pages lie together: where its tiles lie is found in fewer TLB entries.
        {cache_.data() + layer * (kCachePositions / kTilePositions) * layer_stride_, layer_stride_},
        {block_.data(), layer_stride_},
        is_tree_ ? copies_.data() : nullptr};
  }
  void upload(const std::vector<KvSpan>& spans) {
    const int span_count = static_cast<int>(spans.size()), counts[] = {rows_, 1};
    CHECK_CUDA(cudaMemcpy(spans_.data(), spans.data(), spans.size() * sizeof(KvSpan),
                          cudaMemcpyHostToDevice));
    CHECK_CUDA(
        cudaMemcpy(span_count_.data(), &span_count, sizeof span_count, cudaMemcpyHostToDevice));
    CHECK_CUDA(cudaMemcpy(count_.data(), counts, sizeof counts, cudaMemcpyHostToDevice));
  }
  Tokens normed(const Layer& layer, const int* rows, int bucket, const int* count) const {
    Tokens made;
    CHECK_CUDA(normed_tokens(x_.data(), rows, layer.norms.data(), 1e-6f, shape_.hidden,
                             normed_.data(), bucket, count, &made, stream_));
    return made;
  }
  Tokens normed(const Layer& layer) const { return normed(layer, nullptr, rows_, count_.data()); }
  void project(const Layer& layer) const {
    CHECK_CUDA(matmul(tokens(normed_, shape_.hidden), layer.qkv.view(), qkv_.data(),
                      static_cast<size_t>(shape_.qkv_cols()), stream_));
  }
  void project_and_store(const Layer& layer, const Tokens& normed, size_t index) const {
    const Bf16* const norms = shape_.has_bias ? nullptr : layer.norms.data();
    const HeadWeights finish = {.bias = shape_.has_bias ? layer.bias.data() : nullptr,
                                .q_norm = norms,
                                .k_norm = norms,
                                .table = rope_.data(),
                                .eps = 1e-6f};
    const MatrixView qkv = layer.qkv.view();
    CHECK_CUDA(matmul_qkv(normed, {&qkv, 1}, shape_.heads, finish, batch(index), q_.data(),
                          qkv_.data(), stream_));
  }
  void attend(size_t layer) const {
    CHECK_CUDA(attention(q_.data(), shape_.heads, batch(layer), attended_.data(),
                         attention_workspace_.data(), rows_, positions_, alone_, stream_));
  }
  void output(const Layer& layer) const {
    CHECK_CUDA(matmul_add(tokens(attended_, shape_.q_cols()), layer.o.view(), x_.data(),
                          static_cast<size_t>(shape_.hidden), stream_));
  }
  void mlp(const Layer& layer, const Tokens& normed) const {
    CHECK_CUDA(matmul_swiglu(normed, layer.gate_up.view(), gated_.data(),
                             static_cast<size_t>(shape_.intermediate), stream_));
    CHECK_CUDA(matmul_add(tokens(gated_, shape_.intermediate), layer.down.view(), x_.data(),
                          static_cast<size_t>(shape_.hidden), stream_));
  }
  void top(const Tokens& normed) const {
    CHECK_CUDA(matmul_top(normed, head(), tops_.data(), top_workspace_.data(), stream_));
  }

  const Shape& shape_;
  cudaStream_t stream_;
  View view_ = View::kAr;
  bool is_tree_ = false, alone_ = true;
  int rows_ = 1, positions_ = 1024;  // contexts are at most so long, as a pass rounds it
  size_t bytes_ = 0, count_of_weights_ = 0, layer_stride_ = 0;
  std::vector<Layer> layers_;
  Weights head_;
  Array<Bf16> table_of_ids_, cache_, block_, normed_, q_, attended_, gated_;
  Array<float> x_, qkv_, inv_freq_;
  Array<float2> rope_;
  Array<Choice> tops_;
  Array<char> top_workspace_, attention_workspace_;
  Array<int32_t> ids_;
  Array<int> table_, tree_table_, count_, head_rows_, span_count_;
  Array<KvSpan> spans_;
  Array<RowCopies> copies_;
};

void measure(const Shape& shape, double copy, cudaStream_t stream) {
  PassKernels network(shape, stream);
  const double weights = network.weight_bytes();
  std::printf("\n%s: %.2f GB of weights, %.2f ms at copy bandwidth\n", shape.name, weights / 1e9,
              weights / copy / 1e9);
  const auto line = [&](const char* what, int rows, int context, double bytes, double ms) {
    std::printf("%-22s %4d rows, context %5d: %7.3f ms, %.2f TB/s, %3.0f%% of copy\n", what, rows,
                context, ms, bytes / ms / 1e9, bytes / ms / 1e7 / copy);
  };
  for (const int rows : {1, 8, 16, 32, 64, 128}) {
    network.set(View::kAr, rows, 512);
    line("products of a pass", rows, 0, weights, network.time([&] { network.products(); }));
  }
  for (const View view : {View::kAr, View::kDiffusion}) {
    const char* const what = view == View::kAr ? "AR pass" : "diffusion pass";
    for (const int rows : {1, 8, 16, 32, 64, 128}) {
      network.set(view, rows, 512);
      line(what, rows, 512, weights + network.kv_bytes(512),
           network.time([&] { network.pass(false); }));
    }
    for (const int context : {4096, 16384, 32768}) {
      for (const int rows : {1, 32, 128}) {
        network.set(view, rows, context);
        line(what, rows, context, weights + network.kv_bytes(context),
             network.time([&] { network.pass(false); }));
      }
    }
  }
  for (const int context : {512, 4096, 16384, 32768}) {
    for (const int rows : {1, 8, 32, 128}) {
      network.set(View::kAr, rows, context);
      line("attention, all layers", rows, context, network.kv_bytes(context),
           network.time([&] { network.attentions(); }));
    }
  }
  // Trees beside chains of as many rows: the trunk's, branches, a branch's.
  constexpr std::array<int, 3> kTrees[] = {{8, 4, 1},   {12, 10, 2}, {12, 20, 1},
                                           {16, 24, 2}, {16, 48, 1}, {16, 56, 2}};
  for (const int context : {300, 512, 2048, 8192, 8400}) {  // the last ends deep in a split
    for (const auto& [trunk, branches, branch_rows] : kTrees) {
      const int rows = trunk + branches * branch_rows;
      network.set(View::kAr, rows, context);
      const double chain = network.time([&] { network.pass(false); }),
                   chain_attention = network.time([&] { network.attentions(); });
      network.set_tree(trunk, branches, branch_rows, context);
      const double tree = network.time([&] { network.pass(false); }),
                   tree_attention = network.time([&] { network.attentions(); });
      std::printf(
          "tree of %3d rows, %2d branches, context %5d: pass %.3f ms, attention %.3f; chain %.3f, "
          "%.3f: %+.1f%%\n",
          rows, branches, context, tree, tree_attention, chain, chain_attention,
          (tree / chain - 1) * 100);
    }
  }
  for (const int context : {448, 512, 700, 1024}) {
    for (const int sequences : {16, 48, 64}) {
      network.set(View::kAr, 1, context, sequences);
      const double kv = network.kv_bytes(context) * sequences;
      line("sequences' attention", sequences, context, kv,
           network.time([&] { network.attentions(); }));
      line("sequences' pass", sequences, context, weights + kv,
           network.time([&] { network.pass(false); }));
    }
  }
  for (const int rows : {256, 1024, 4096}) {
    network.set(View::kAr, rows, 0);
    const double products = network.time([&] { network.products(false); }),
                 pass = network.time([&] { network.pass(true); });
    std::printf("prefill %4d rows: products %.1f ms, %.0f TFLOP/s; pass %.1f ms, %.0f TFLOP/s\n",
                rows, products, 2 * network.layer_weights() * rows / products / 1e9, pass,
                network.prefill_operations(rows) / pass / 1e9);
  }
}

// The same shape's passes by the form of its weights, behind 512 positions.
void measure_weights(const Shape& shape, double copy, cudaStream_t stream) {
  constexpr std::pair<WeightForm, const char*> kForms[] = {{WeightForm::kBf16, "BF16"},
                                                           {WeightForm::kQ8, "8 bits"},
                                                           {WeightForm::kQ6, "6 bits"},
                                                           {WeightForm::kQ5, "5 bits"},
                                                           {WeightForm::kQ4, "4 bits"}};
  for (const auto& [form, name] : kForms) {
    PassKernels network(shape, stream, form);
    const double weights = network.weight_bytes();
    std::printf("\n%s, %s: %.2f GB of weights, %.2f ms at copy bandwidth\n", shape.name, name,
                weights / 1e9, weights / copy / 1e9);
    for (const int rows : {1, 2, 8, 16, 32, 64, 128}) {
      network.set(View::kAr, rows, 512);
      const double products = network.time([&] { network.products(); }),
                   pass = network.time([&] { network.pass(false); });
      network.check_logits();
      network.set(View::kDiffusion, rows, 512);
      const double draft = network.time([&] { network.pass(false); });
      std::printf(
          "%3d rows: products %.3f ms, %.2f TB/s; AR pass %.3f ms; diffusion pass %.3f ms\n", rows,
          products, weights / products / 1e9, pass, draft);
    }
    for (const int rows : {256, 1024}) {
      network.set(View::kAr, rows, 0);
      const double pass = network.time([&] { network.pass(true); });
      std::printf("prefill %4d rows: %.1f ms, %.0f TFLOP/s\n", rows, pass,
                  network.prefill_operations(rows) / pass / 1e9);
    }
  }
}

// Drafts of one sequence, chosen in a chain, beside each by itself. Of a launch in microseconds.
void measure_drafts(cudaStream_t stream) {
  constexpr int kVocabulary = 151936, kMostRows = 31, kLaunches = 20;
  const Array<float> logits(static_cast<size_t>(kMostRows) * kVocabulary);
  fill(logits, 1, 8);
  Array<DraftCandidates> candidates(kMostRows);
  Array<Choice> out(kMostRows);
  Array<int32_t> ids(1);
  ids.clear();
  const auto time = [&](const std::function<cudaError_t()>& launch) {
    const auto several = [&] {
      for (int i = 0; i < kLaunches; ++i) CHECK_CUDA(launch());
    };
    return milliseconds(stream, several) * 1e3 / kLaunches;
  };
  std::printf("\n");
  for (const float temperature : {0.0f, 0.7f}) {
    for (const int rank : {64, 128}) {
      const size_t size = static_cast<size_t>(kVocabulary) * rank;
      const Array<Bf16> previous(size), next(size);
      fill(previous, 2, 0.5f), fill(next, 3, 0.5f);
      const PairTables tables{previous.data(), next.data(), rank};
      for (const int rows : {15, 31}) {
        std::vector<SelectRow> how;
        for (int i = 0; i < rows; ++i) {
          how.push_back({.temperature = temperature, .seed = 1, .position = i});
          how.back().greedy = temperature == 0;
          if (temperature == 0) how.back().temperature = 1;
        }
        const Array<SelectRow> alone(how);
        for (int i = 0; i < rows; ++i) how[static_cast<size_t>(i)].join_chain(i, rows, 0);
        const Array<SelectRow> chained(how);
        const Array<int> count(std::vector<int>{rows});
        const double select_time = time([&] {
          return select(logits.data(), kVocabulary, kVocabulary, alone.data(), out.data(), rows,
                        count.data(), stream);
        });
        const double candidates_time = time([&] {
          return find_candidates(logits.data(), kVocabulary, kVocabulary, chained.data(), tables,
                                 candidates.data(), rows, count.data(), stream);
        });
        const double chain_time = time([&] {
          return choose_in_chains(logits.data(), kVocabulary, chained.data(), candidates.data(),
                                  ids.data(), tables, out.data(), rows, count.data(), stream);
        });
        std::printf(
            "drafts, temperature %.1f, rank %3d, %d rows: candidates %.1f us, chain %.1f us; "
            "select alone %.1f us\n",
            temperature, rank, rows, candidates_time, chain_time, select_time);
      }
    }
  }
}

}  // namespace
}  // namespace orthrus::cuda

int main(int argc, char** argv) {
  using namespace orthrus::cuda;
  cudaDeviceProp device;
  cudaStream_t stream;
  CHECK_CUDA(cudaGetDeviceProperties(&device, 0));
  CHECK_CUDA(cudaStreamCreate(&stream));
  std::printf("%s\n", device.name);
  const double copy = copy_bandwidth(stream);
  const auto wanted = [&](const char* name) {
    bool named = argc == 1;
    for (int i = 1; i < argc; ++i) named = named || std::strcmp(argv[i], name) == 0;
    return named;
  };
  if (wanted("drafts")) measure_drafts(stream);
  const bool by_weights = argc > 1 && wanted("weights");
  for (const Shape& shape : kShapes) {
    if (by_weights && (argc == 2 || wanted(shape.name))) measure_weights(shape, copy, stream);
  }
  for (const Shape& shape : kShapes) {
    if (!by_weights && wanted(shape.name)) measure(shape, copy, stream);
  }
  return 0;
}
