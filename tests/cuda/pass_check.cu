// A whole pass, whose kernels overlap in a graph, against the same kernels one at a time.
#include <cstring>
#include <functional>

#include "checks.h"
#include "device.cuh"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/matmul.h"
#include "kernels/cuda/rows.h"

namespace orthrus::cuda {
namespace {

using Bf16 = __nv_bfloat16;

constexpr Heads kHeads = {16, 8, 128};
constexpr int kLayers = 3, kHidden = 2048, kIntermediate = 6144, kVocabulary = 20000;
constexpr int kQ = kHeads.heads * kHeads.head_dim;
constexpr int kQkv = (kHeads.heads + 2 * kHeads.kv_heads) * kHeads.head_dim;
constexpr int kPositions = 1024, kMostRows = 300;
constexpr size_t kPage = static_cast<size_t>(kHeads.kv_heads) * tile_elements(kHeads.head_dim);
constexpr int kSequencePages = kPositions / kTilePositions;
constexpr size_t kLayerPages = 2 * kSequencePages * kPage;

class Pass {
 public:
  explicit Pass(uint64_t seed) {
    for (int i = 0; i < kLayers; ++i) {
      for (Array<Bf16>* w : {&qkv_w_[i], &o_w_[i], &gate_up_w_[i], &down_w_[i]}) {
        fill(*w, seed++, 0.04f);
      }
    }
    fill(table_, seed++), fill(norms_, seed++), fill(start_cache_, seed++);
    std::vector<int32_t> ids;
    for (int m = 0; m < kMostRows; ++m)
      ids.push_back(static_cast<int>(hash(seed, m) % kVocabulary));
    ids_ = Array<int32_t>(ids);
    std::vector<int> pages;
    for (int i = 0; i < 2 * kSequencePages; ++i) pages.push_back(i * 5 % (2 * kSequencePages));
    page_table_ = Array<int>(pages);
    inv_freq_ = Array<float>(std::vector<float>(kHeads.head_dim / 2, 0.01f));
    attention_workspace_ = Array<char>(attention_workspace_bytes(kHeads, kMostRows, kPositions));
  }

  void set(int rows, const std::vector<KvSpan>& spans) { set(rows, rows, spans); }

  // `real` of `rows` rows are there.
  void set(int rows, int real, const std::vector<KvSpan>& spans) {
    rows_ = rows;
    spans_ = Array<KvSpan>(spans);
    counts_ = Array<int>(std::vector<int>{real, static_cast<int>(spans.size())});
  }

  // Everything that a pass writes is NaN, but for the cache.
  void reset() {
    for (Array<float>* a : {&x_, &qkv_}) a->poison();
    for (Array<Bf16>* a : {&normed_, &q_, &attended_, &gated_, &block_}) a->poison();
    turns_.poison(), tops_.poison(), top_workspace_.poison(), attention_workspace_.poison();
    CHECK_CUDA(cudaMemcpy(cache_.data(), start_cache_.data(), cache_.size() * sizeof(Bf16),
                          cudaMemcpyDeviceToDevice));
  }

  // Calls `after` behind every kernel.
  void run(cudaStream_t stream, const std::function<void()>& after) {
    const int *count = counts_.data(), *span_count = counts_.data() + 1;
    const auto step = [&](cudaError_t error) {
      CHECK_CUDA(error);
      after();
    };
    const auto batch = [&](int layer) {
      return KvBatch{spans_.data(),
                     span_count,
                     page_table_.data(),
                     {cache_.data() + layer * kLayerPages, kPage},
                     {block_.data(), kPage}};
    };
    const auto tokens = [&](const Array<Bf16>& x, int cols) {
      return Tokens{x.data(), static_cast<size_t>(cols), rows_, count};
    };
    const auto normed = [&] {
      Tokens made;
      step(normed_tokens(x_.data(), nullptr, norms_.data(), 1e-6f, kHidden, normed_.data(), rows_,
                         count, &made, stream));
      return made;
    };
    step(embed(table_.data(), ids_.data(), kHidden, x_.data(), rows_, count, stream));
    step(rope_table(batch(0), inv_freq_.data(), kHeads.head_dim, turns_.data(), rows_, stream));
    for (int i = 0; i < kLayers; ++i) {
      const MatrixView qkv_w{qkv_w_[i].data(), kQkv, kHidden};
      step(matmul_qkv(normed(), {&qkv_w, 1}, kHeads,
                      {.bias = nullptr,
                       .q_norm = norms_.data(),
                       .k_norm = norms_.data() + 128,
                       .table = turns_.data(),
                       .eps = 1e-6f},
                      batch(i), q_.data(), qkv_.data(), stream));
      step(attention(q_.data(), kHeads, batch(i), attended_.data(), attention_workspace_.data(),
                     rows_, kPositions, spans_.size() == 1, stream));
      step(matmul_add(tokens(attended_, kQ), {o_w_[i].data(), kHidden, kQ}, x_.data(), kHidden,
                      stream));
      step(matmul_swiglu(normed(), {gate_up_w_[i].data(), 2 * kIntermediate, kHidden},
                         gated_.data(), kIntermediate, stream));
      step(matmul_add(tokens(gated_, kIntermediate), {down_w_[i].data(), kHidden, kIntermediate},
                      x_.data(), kHidden, stream));
    }
    step(matmul_top(normed(), {table_.data(), kVocabulary, kHidden}, tops_.data(),
                    top_workspace_.data(), stream));
  }

  struct Result {
    std::vector<float> x;
    std::vector<Choice> tops;
    std::vector<Bf16> cache, block;
  };
  Result result() const {
    CHECK_CUDA(cudaDeviceSynchronize());
    return {x_.host(), tops_.host(), cache_.host(), block_.host()};
  }

 private:
  static Array<Bf16> rows_of(int cols) {
    return Array<Bf16>(static_cast<size_t>(kMostRows) * cols);
  }
  static Array<Bf16> matrix(int rows, int cols) {
    return Array<Bf16>(static_cast<size_t>(rows) * cols);
  }

  int rows_ = 0;
  Array<Bf16> qkv_w_[kLayers] = {matrix(kQkv, kHidden), matrix(kQkv, kHidden),
                                 matrix(kQkv, kHidden)};
  Array<Bf16> o_w_[kLayers] = {matrix(kHidden, kQ), matrix(kHidden, kQ), matrix(kHidden, kQ)};
  Array<Bf16> gate_up_w_[kLayers] = {matrix(2 * kIntermediate, kHidden),
                                     matrix(2 * kIntermediate, kHidden),
                                     matrix(2 * kIntermediate, kHidden)};
  Array<Bf16> down_w_[kLayers] = {matrix(kHidden, kIntermediate), matrix(kHidden, kIntermediate),
                                  matrix(kHidden, kIntermediate)};
  Array<Bf16> table_ = matrix(kVocabulary, kHidden), norms_ = Array<Bf16>(kHidden);
  Array<Bf16> start_cache_ = Array<Bf16>(kLayers * kLayerPages),
              cache_ = Array<Bf16>(kLayers * kLayerPages), block_ = Array<Bf16>(4 * kPage);
  Array<Bf16> normed_ = rows_of(kHidden), q_ = rows_of(kQ), attended_ = rows_of(kQ),
              gated_ = rows_of(kIntermediate);
  Array<float> x_ = Array<float>(size_t{kMostRows} * kHidden),
               qkv_ = Array<float>(size_t{kMostRows} * kQkv), inv_freq_;
  Array<float2> turns_ = Array<float2>(size_t{kMostRows} * kHeads.head_dim / 2);
  Array<Choice> tops_ = Array<Choice>(kMostRows);
  Array<char> top_workspace_ =
                  Array<char>(top_workspace_bytes(kMostRows, {nullptr, kVocabulary, kHidden})),
              attention_workspace_;
  Array<int32_t> ids_;
  Array<int> page_table_, counts_;
  Array<KvSpan> spans_;
};

template <typename T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

// A pass none of whose rows are real, as of a sequence that has ended, writes nothing.
void check_empty(Checks& checks, Pass& pass, cudaStream_t stream) {
  for (const int rows : {1, 8, 32, 128, 300}) {
    for (const int block_page : {-1, 0}) {
      pass.set(rows, 0, {{0, 0, 500, 0, block_page}});
      pass.reset();
      const Pass::Result before = pass.result();
      pass.run(stream, [] {});
      const Pass::Result after = pass.result();
      checks.expect(same_bits(before.x, after.x) && same_bits(before.tops, after.tops) &&
                        same_bits(before.cache, after.cache) &&
                        same_bits(before.block, after.block),
                    "pass of none of %d rows wrote something", rows);
    }
  }
}

}  // namespace

void check_pass(Checks& checks) {
  constexpr int kReplays = 6;
  Pass pass(checks.seed);
  cudaStream_t stream;
  CHECK_CUDA(cudaStreamCreate(&stream));
  for (const int rows : {1, 2, 8, 16, 32, 64, 128, 300}) {
    const int a = (rows + 1) / 2, b = rows - a;
    for (const bool diffusion : {false, true}) {
      std::vector<KvSpan> spans = {{0, a, 500, 0, diffusion ? 0 : -1}};
      if (b > 0) spans.push_back({a, b, 700, kSequencePages, -1});
      pass.set(rows, spans);
      pass.reset();
      pass.run(stream, [] { CHECK_CUDA(cudaDeviceSynchronize()); });
      const Pass::Result expected = pass.result();
      cudaGraph_t graph;
      cudaGraphExec_t replay;
      CHECK_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
      pass.run(stream, [] {});
      CHECK_CUDA(cudaStreamEndCapture(stream, &graph));
      CHECK_CUDA(cudaGraphInstantiate(&replay, graph, 0));
      for (int i = 0; i < kReplays; ++i) {
        pass.reset();
        CHECK_CUDA(cudaDeviceSynchronize());
        CHECK_CUDA(cudaGraphLaunch(replay, stream));
        const Pass::Result got = pass.result();
        checks.expect(same_bits(got.x, expected.x), "pass of %d rows: residual stream", rows);
        checks.expect(same_bits(got.tops, expected.tops), "pass of %d rows: tops", rows);
        checks.expect(same_bits(got.cache, expected.cache), "pass of %d rows: cache", rows);
      }
      int ids = 0;
      for (int m = 0; m < rows; ++m) ids += expected.tops[m].id >= 0;
      checks.expect(ids == rows, "pass of %d rows: %d have a top", rows, ids);
      CHECK_CUDA(cudaGraphExecDestroy(replay));
      CHECK_CUDA(cudaGraphDestroy(graph));
    }
  }
  check_empty(checks, pass, stream);
  CHECK_CUDA(cudaStreamDestroy(stream));
}

}  // namespace orthrus::cuda
