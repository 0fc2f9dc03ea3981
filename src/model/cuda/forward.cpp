// Everything that differs from pass to pass is read on the device, so the kernels of a pass depend
// on its Shape alone: they are captured in a graph once for each, and launched as one.
#include "model/cuda/forward.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <new>

#include "orthrus/error.h"

namespace orthrus::cuda {
namespace {

using Bf16 = __nv_bfloat16;

constexpr int kMostGraphRows = 128;  // larger passes take long enough to launch kernel by kernel
constexpr size_t kMostGraphs = 128;
constexpr int kLeastPositions = 1024;

// The number of rows that a pass of `rows` is computed as.
int bucket_of(int rows) {
  if (rows <= 2) return rows;
  for (const int bucket : {4, 8, 16, 24, 32, 48, 64, 96, 128}) {
    if (rows <= bucket) return bucket;
  }
  return (rows + 127) / 128 * 128;
}

int pages_for(int positions) {
  return (positions + kTilePositions - 1) / kTilePositions;
}

// An error of the device while decoding: CUDA keeps reporting it, and nothing can be computed any
// more.
void require(cudaError_t error) {
  check(error, "a forward pass");
}

}  // namespace

KvMemory::KvMemory(const ModelConfig& config, size_t pages)
    : pages_(pages),
      stride_(static_cast<size_t>(config.num_key_value_heads) * tile_elements(config.head_dim)) {
  check_room(bytes(config, pages), "The keys and values of this context");
  data_ = DeviceArray<Bf16>(pages_ * stride_ * static_cast<size_t>(config.num_hidden_layers));
}

double KvMemory::bytes(const ModelConfig& config, size_t pages) {
  return static_cast<double>(pages) * config.num_hidden_layers * config.num_key_value_heads *
         tile_elements(config.head_dim) * sizeof(Bf16);
}

// Counts, then arrays of as many rows (and spans) as there is room for, then the page table.
struct CudaForwardPass::Batch {
  enum Count { kRowsOfView, kSpansOfView = 2, kAllRows = 4, kLogits, kTops, kCounts = 8 };

  Batch(int row_capacity, size_t table_capacity)
      : rows(row_capacity),
        table(table_capacity),
        bytes(kCounts * sizeof(int) + rows_bytes(row_capacity) + table_capacity * sizeof(int)),
        host(bytes),
        device(bytes) {}

  static size_t rows_bytes(int rows) {
    return static_cast<size_t>(rows) * (sizeof(int32_t) + sizeof(int) + 2 * sizeof(KvSpan));
  }

  // Where each part lies, from the start of the host's or the device's copy.
  static int* counts(std::byte* base) { return reinterpret_cast<int*>(base); }
  int32_t* ids(std::byte* base) const { return counts(base) + kCounts; }
  int* head_rows(std::byte* base) const { return ids(base) + rows; }
  KvSpan* spans(std::byte* base, View view) const {
    return reinterpret_cast<KvSpan*>(head_rows(base) + rows) + static_cast<int>(view) * rows;
  }
  int* page_table(std::byte* base) const {
    return reinterpret_cast<int*>(spans(base, View::kDiffusion) + rows);
  }
  const int* count(int which) const { return counts(device.data()) + which; }

  int rows;
  size_t table, bytes;
  PinnedArray<std::byte> host;
  DeviceArray<std::byte> device;
  size_t used = 0;  // bytes of the host's copy that the pass needs
};

struct CudaForwardPass::Activations {
  Activations(const ModelConfig& c, const Heads& heads, const Weights& lm_head, size_t block_stride,
              const Shape& room)
      : of(room) {
    const auto rows = static_cast<size_t>(room.all_rows());
    const auto head_rows = static_cast<size_t>(room.head_rows());
    const auto q_cols = static_cast<size_t>(heads.heads * heads.head_dim);
    const auto qkv_cols = q_cols + static_cast<size_t>(2 * heads.kv_heads * heads.head_dim);
    x = DeviceArray<float>(rows * c.hidden_size);
    normed = DeviceArray<Bf16>(rows * c.hidden_size);
    qkv = DeviceArray<float>(rows * qkv_cols);
    q = DeviceArray<Bf16>(rows * q_cols);
    attended = DeviceArray<Bf16>(rows * q_cols);
    gated = DeviceArray<Bf16>(rows * c.intermediate_size);
    rope = DeviceArray<float2>(rows * heads.head_dim / 2);
    // Each span of a block begins a page of its own.
    block = DeviceArray<Bf16>((static_cast<size_t>(room.rows[1]) + 1) * block_stride);
    head_input = DeviceArray<Bf16>(head_rows * c.hidden_size);
    logits = DeviceArray<float>(static_cast<size_t>(room.logits) * c.vocab_size);
    tops = DeviceArray<TopLogit>(static_cast<size_t>(room.tops));
    top_workspace = DeviceArray<std::byte>(top_workspace_bytes(room.tops, lm_head));
    const int most = std::max(room.rows[0], room.rows[1]);
    const size_t bytes = attention_workspace_bytes(heads, most, room.positions);
    attention_workspace = DeviceArray<std::byte>(bytes);
  }

  Shape of;                  // there is room for
  DeviceArray<float> x;      // the residual stream, [rows][hidden_size]
  DeviceArray<Bf16> normed;  // RMSNorm of x
  DeviceArray<float> qkv;
  DeviceArray<Bf16> q, attended;  // [rows][heads * head_dim]
  DeviceArray<Bf16> gated;        // silu(gate) * up, [rows][intermediate_size]
  DeviceArray<float2> rope;       // cos and sin, [rows][head_dim / 2]
  DeviceArray<Bf16> block;        // keys and values of blocks, of one layer at a time
  DeviceArray<Bf16> head_input;   // final RMSNorm of x: rows that want logits, then the others
  DeviceArray<float> logits;
  DeviceArray<TopLogit> tops;
  DeviceArray<std::byte> top_workspace, attention_workspace;
};

CudaForwardPass::CudaForwardPass(const ModelConfig& config, const DeviceWeights& weights,
                                 const KvMemory& memory, int ordinal)
    : config_(&config),
      weights_(&weights),
      memory_(&memory),
      ordinal_(ordinal),
      heads_{config.num_attention_heads, config.num_key_value_heads, config.head_dim} {
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
  std::vector<float> inv_freq(static_cast<size_t>(config.head_dim / 2));
  for (size_t i = 0; i < inv_freq.size(); ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / config.head_dim;
    inv_freq[i] = static_cast<float>(1.0 / std::pow(config.rope_theta, exponent));
  }
  inv_freq_ = DeviceArray<float>(inv_freq.data(), inv_freq.size());
  // Uploads go through another stream than passes.
  check(cudaDeviceSynchronize(), "uploading");
}

CudaForwardPass::~CudaForwardPass() {
  graphs_.clear();
  cudaStreamDestroy(stream_);
}

Status CudaForwardPass::run(std::span<const Span> spans) {
  require(cudaSetDevice(ordinal_));
  const Shape shape = plan(spans);
  cudaGraphExec_t graph = nullptr;
  try {
    size_t table = 0;
    for (const Span& span : spans) {
      const int rows = static_cast<int>(span.tokens.size());
      table += static_cast<size_t>(pages_for(span.sequence->length() + rows));
      if (span.view != View::kAutoregressive) continue;
      if (const Status status = span.sequence->reserve(rows); status != Status::kOk) return status;
    }
    reserve(shape, table);
    graph = graph_of(shape);
  } catch (const std::bad_alloc&) {
    return Status::kOutOfMemory;
  }
  const auto start = std::chrono::steady_clock::now();
  fill_batch(spans, shape);
  require(cudaMemcpyAsync(batch_->device.data(), batch_->host.data(), batch_->used,
                          cudaMemcpyHostToDevice, stream_));
  if (graph != nullptr) {
    require(cudaGraphLaunch(graph, stream_));
  } else {
    network(shape);
  }
  const auto copy_back = [&](auto& host, const auto& device, size_t count) {
    if (count == 0) return;
    require(cudaMemcpyAsync(host.data(), device.data(), count * sizeof(*host.data()),
                            cudaMemcpyDeviceToHost, stream_));
  };
  const int* const counts = Batch::counts(batch_->host.data());
  copy_back(tops_, a_->tops, static_cast<size_t>(counts[Batch::kTops]));
  copy_back(logits_, a_->logits,
            static_cast<size_t>(counts[Batch::kLogits]) * static_cast<size_t>(config_->vocab_size));
  require(cudaStreamSynchronize(stream_));
  seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (const Span& span : spans) {
    if (span.view == View::kAutoregressive) {
      span.sequence->extend(static_cast<int>(span.tokens.size()));
    }
  }
  return Status::kOk;
}

HeadRows CudaForwardPass::head_rows(size_t span) const {
  const Asked& asked = asked_[span];
  static_assert(sizeof(Top) == sizeof(TopLogit));
  const auto first = static_cast<size_t>(asked.first), count = static_cast<size_t>(asked.count);
  if (!asked.logits) {
    return {.logits = {}, .tops = {reinterpret_cast<const Top*>(tops_.data()) + first, count}};
  }
  const auto vocabulary = static_cast<size_t>(config_->vocab_size);
  return {
      .logits = {logits_.data() + first * vocabulary, asked.count, config_->vocab_size, vocabulary},
      .tops = {}};
}

CudaForwardPass::Shape CudaForwardPass::plan(std::span<const Span> spans) {
  Shape shape;
  int longest = kLeastPositions;
  asked_.clear();
  for (const Span& span : spans) {
    const int rows = static_cast<int>(span.tokens.size());
    shape.rows[static_cast<int>(span.view)] += rows;
    const bool logits = span.output == HeadOutput::kLogits;
    int& head_rows = logits ? shape.logits : shape.tops;
    const int count = span.logits_end - span.logits_begin;
    asked_.push_back({logits, head_rows, count});
    head_rows += count;
    while (longest < span.sequence->length() + rows) longest *= 2;
  }
  for (int* const rows : {&shape.rows[0], &shape.rows[1], &shape.logits, &shape.tops}) {
    *rows = bucket_of(*rows);
  }
  shape.positions = longest;
  return shape;
}

// Makes room. Graphs hold addresses, so they go with what they were captured for.
void CudaForwardPass::reserve(const Shape& shape, size_t table) {
  // Rows of the head are rounded up apart from the pass's, logits and tops each.
  const int rows_needed = std::max(shape.all_rows(), shape.head_rows());
  if (batch_ == nullptr || batch_->rows < rows_needed || batch_->table < table) {
    const int rows = std::max(rows_needed, batch_ ? batch_->rows : kMostGraphRows);
    const size_t most = std::max({table * 2, batch_ ? batch_->table : 0, size_t{1024}});
    graphs_.clear();
    batch_.reset();
    batch_ = std::make_unique<Batch>(rows, most);
  }
  if (a_ == nullptr || shape.rows[0] > a_->of.rows[0] || shape.rows[1] > a_->of.rows[1] ||
      shape.logits > a_->of.logits || shape.tops > a_->of.tops ||
      shape.positions > a_->of.positions) {
    Shape room = shape;
    if (a_ != nullptr) {
      for (int v = 0; v < kViews; ++v) room.rows[v] = std::max(room.rows[v], a_->of.rows[v]);
      room.logits = std::max(room.logits, a_->of.logits);
      room.tops = std::max(room.tops, a_->of.tops);
      room.positions = std::max(room.positions, a_->of.positions);
    }
    graphs_.clear();
    a_.reset();
    a_ = std::make_unique<Activations>(*config_, heads_, weights_->lm_head(), memory_->stride(),
                                       room);
  }
  const auto logits = static_cast<size_t>(shape.logits) * static_cast<size_t>(config_->vocab_size);
  if (logits_.size() < logits) logits_ = PinnedArray<float>(logits);
  if (tops_.size() < static_cast<size_t>(shape.tops)) {
    tops_ = PinnedArray<TopLogit>(static_cast<size_t>(shape.tops));
  }
}

// Rows of AR spans come first; those of diffusion spans begin at the end of the AR rows' bucket.
// Between them rows have no span: they are computed like others, and nobody looks at them.
void CudaForwardPass::fill_batch(std::span<const Span> spans, const Shape& shape) {
  std::byte* const host = batch_->host.data();
  int* const counts = Batch::counts(host);
  std::fill_n(counts, +Batch::kCounts, 0);
  std::fill_n(batch_->ids(host), shape.all_rows(), 0);
  int* const table = batch_->page_table(host);
  int table_size = 0, block_pages = 0;
  for (size_t s = 0; s < spans.size(); ++s) {
    const Span& span = spans[s];
    const int v = static_cast<int>(span.view), rows = static_cast<int>(span.tokens.size());
    const int position = span.sequence->length();
    const bool diffusion = span.view == View::kDiffusion;
    int& rows_of_view = counts[Batch::kRowsOfView + v];
    KvSpan& to = batch_->spans(host, span.view)[counts[Batch::kSpansOfView + v]++];
    to = {rows_of_view, rows, position, table_size, diffusion ? block_pages : -1};
    const int first_row = (diffusion ? shape.rows[0] : 0) + rows_of_view;
    std::copy(span.tokens.begin(), span.tokens.end(), batch_->ids(host) + first_row);
    rows_of_view += rows;
    const int pages = pages_for(position + (diffusion ? 0 : rows));
    for (int i = 0; i < pages; ++i) {
      table[table_size++] = memory_->page_at(span.sequence->pages()[i]);
    }
    if (diffusion) block_pages += pages_for(rows);
    const Asked& asked = asked_[s];
    counts[asked.logits ? Batch::kLogits : Batch::kTops] += asked.count;
    for (int i = 0; i < asked.count; ++i) {
      const int at = (asked.logits ? 0 : shape.logits) + asked.first + i;
      batch_->head_rows(host)[at] = first_row + span.logits_begin + i;
    }
  }
  const int diffusion_rows = counts[Batch::kRowsOfView + 1];
  counts[Batch::kAllRows] =
      diffusion_rows > 0 ? shape.rows[0] + diffusion_rows : counts[Batch::kRowsOfView];
  batch_->used = static_cast<size_t>(reinterpret_cast<std::byte*>(table + table_size) - host);
}

cudaGraphExec_t CudaForwardPass::graph_of(const Shape& shape) {
  if (shape.all_rows() > kMostGraphRows) return nullptr;
  if (const auto known = graphs_.find(shape); known != graphs_.end()) return known->second.get();
  if (graphs_.size() >= kMostGraphs) graphs_.clear();
  cudaGraph_t captured = nullptr;
  require(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
  try {
    network(shape);
  } catch (...) {
    cudaStreamEndCapture(stream_, &captured);
    if (captured != nullptr) cudaGraphDestroy(captured);
    throw;
  }
  require(cudaStreamEndCapture(stream_, &captured));
  cudaGraphExec_t instantiated = nullptr;
  const cudaError_t error = cudaGraphInstantiate(&instantiated, captured, 0);
  cudaGraphDestroy(captured);
  require(error);
  graphs_.emplace(shape, Graph(instantiated, cudaGraphExecDestroy));
  require(cudaGraphUpload(instantiated, stream_));
  require(cudaStreamSynchronize(stream_));
  return instantiated;
}

void CudaForwardPass::network(const Shape& shape) {
  const DeviceWeights& w = *weights_;
  const int rows = shape.all_rows(), hidden = config_->hidden_size;
  const int* const count = batch_->count(Batch::kAllRows);
  const auto tokens = [&](const DeviceArray<Bf16>& x, int cols) {
    return Tokens{x.data(), static_cast<size_t>(cols), rows, count};
  };
  const auto norm = [&](const DeviceArray<Bf16>& weight) {
    require(rms_norm(a_->x.data(), nullptr, weight.data(), config_->rms_norm_eps, hidden,
                     a_->normed.data(), rows, count, stream_));
  };
  require(embed(w.embed_tokens.data.data(), batch_->ids(batch_->device.data()), hidden,
                a_->x.data(), rows, count, stream_));
  for (const View view : {View::kAutoregressive, View::kDiffusion}) {
    const int v = static_cast<int>(view);
    if (shape.rows[v] == 0) continue;
    const int first = v == 0 ? 0 : shape.rows[0];
    std::byte* const device = batch_->device.data();
    const KvBatch batch{
        batch_->spans(device, view), batch_->count(Batch::kSpansOfView + v), {}, {}, {}};
    require(rope_table(batch, inv_freq_.data(), heads_.head_dim,
                       a_->rope.data() + static_cast<size_t>(first) * heads_.head_dim / 2,
                       shape.rows[v], stream_));
  }
  for (size_t i = 0; i < w.layers.size(); ++i) {
    const DeviceLayer& layer = w.layers[i];
    norm(layer.input_layernorm);
    attend(shape, View::kAutoregressive, i);
    attend(shape, View::kDiffusion, i);
    norm(layer.post_attention_layernorm);
    require(matmul_swiglu(tokens(a_->normed, hidden), layer.gate_up.view(), a_->gated.data(),
                          static_cast<size_t>(config_->intermediate_size), stream_));
    require(matmul_add(tokens(a_->gated, config_->intermediate_size), layer.down.view(),
                       a_->x.data(), static_cast<size_t>(hidden), stream_));
  }
  head(shape);
}

// One view's rows of a layer's attention, from the norm before it to the residual stream.
void CudaForwardPass::attend(const Shape& shape, View view, size_t index) {
  const int v = static_cast<int>(view), rows = shape.rows[v];
  if (rows == 0) return;
  const auto first = static_cast<size_t>(v == 0 ? 0 : shape.rows[0]);
  const auto hidden = static_cast<size_t>(config_->hidden_size);
  const auto q_cols = static_cast<size_t>(heads_.heads * heads_.head_dim);
  const DeviceAttention& w = weights_->layers[index].attention[v];
  std::byte* const device = batch_->device.data();
  const int* const count = batch_->count(Batch::kRowsOfView + v);
  const KvBatch batch{batch_->spans(device, view), batch_->count(Batch::kSpansOfView + v),
                      batch_->page_table(device), memory_->of_layer(index),
                      KvPages{a_->block.data(), memory_->stride()}};
  const RopeWeights rope{w.q_norm.data(), w.k_norm.data(),
                         a_->rope.data() + first * static_cast<size_t>(heads_.head_dim / 2),
                         config_->rms_norm_eps};
  Bf16* const q = a_->q.data() + first * q_cols;
  Bf16* const attended = a_->attended.data() + first * q_cols;
  require(matmul_qkv({a_->normed.data() + first * hidden, hidden, rows, count}, w.qkv.view(),
                     heads_, rope, batch, q,
                     a_->qkv.data() + first * static_cast<size_t>(w.qkv.rows), stream_));
  require(attention(q, heads_, batch, attended, a_->attention_workspace.data(), rows,
                    shape.positions, stream_));
  require(matmul_add({attended, q_cols, rows, count}, w.o.view(), a_->x.data() + first * hidden,
                     hidden, stream_));
}

void CudaForwardPass::head(const Shape& shape) {
  const auto hidden = static_cast<size_t>(config_->hidden_size);
  const Weights lm_head = weights_->lm_head();
  const int* const rows = batch_->head_rows(batch_->device.data());
  const auto norm = [&](int first, int bucket, const int* count) {
    Bf16* const to = a_->head_input.data() + static_cast<size_t>(first) * hidden;
    require(rms_norm(a_->x.data(), rows + first, weights_->norm.data(), config_->rms_norm_eps,
                     config_->hidden_size, to, bucket, count, stream_));
    return Tokens{to, hidden, bucket, count};
  };
  if (shape.logits > 0) {
    const Tokens x = norm(0, shape.logits, batch_->count(Batch::kLogits));
    require(matmul(x, lm_head, a_->logits.data(), static_cast<size_t>(lm_head.rows), stream_));
  }
  if (shape.tops > 0) {
    const Tokens x = norm(shape.logits, shape.tops, batch_->count(Batch::kTops));
    require(matmul_top(x, lm_head, a_->tops.data(), a_->top_workspace.data(), stream_));
  }
}

}  // namespace orthrus::cuda
