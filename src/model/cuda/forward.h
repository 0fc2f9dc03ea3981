// Forward passes on a CUDA device.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <vector>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/rows.h"
#include "model/cuda/device_weights.h"
#include "model/forward_pass.h"

namespace orthrus::cuda {

// Where keys and values lie: a layer's pages lie together, and a page of the KvPool is the same
// page of all layers. Its address tells which one it is; the host never reads it.
class KvMemory {
 public:
  // Throws Error(kSystem) when there is too little memory.
  KvMemory(const ModelConfig& config, size_t pages);

  std::byte* address_of(size_t page) const {
    return reinterpret_cast<std::byte*>(data_.data() + page * stride_);
  }
  int page_at(const std::byte* address) const {
    return static_cast<int>((reinterpret_cast<const __nv_bfloat16*>(address) - data_.data()) /
                            static_cast<std::ptrdiff_t>(stride_));
  }
  KvPages of_layer(size_t layer) const {
    return {data_.data() + layer * pages_ * stride_, stride_};
  }
  size_t pages() const { return pages_; }
  size_t stride() const { return stride_; }  // elements of a page of one layer

  static double bytes(const ModelConfig& config, size_t pages);

 private:
  size_t pages_, stride_;
  DeviceArray<__nv_bfloat16> data_;
};

class CudaForwardPass final : public ForwardPass {
 public:
  // All must outlive it. For the thread that uses it, `ordinal` becomes the device.
  CudaForwardPass(const ModelConfig& config, const DeviceWeights& weights, const KvMemory& memory,
                  int ordinal);
  ~CudaForwardPass() override;
  CudaForwardPass(const CudaForwardPass&) = delete;
  CudaForwardPass& operator=(const CudaForwardPass&) = delete;

  Status run(std::span<const Span> spans) override;
  HeadRows head_rows(size_t span) const override;
  double seconds() const override { return seconds_; }

 private:
  // What a graph is captured for. Rows are numbers of a few sizes, each at least what the pass has.
  struct Shape {
    std::array<int, kViews> rows{};  // by View
    int logits = 0, tops = 0;        // rows of the LM head that want all logits, and the largest
    int positions = 0;               // contexts are at most so long

    int all_rows() const { return rows[0] + rows[1]; }
    int head_rows() const { return logits + tops; }
    auto operator<=>(const Shape&) const = default;
  };

  // What a pass reads of its spans, copied to the device in one piece.
  struct Batch;
  struct Activations;
  using Graph = std::unique_ptr<CUgraphExec_st, cudaError_t (*)(cudaGraphExec_t)>;

  Shape plan(std::span<const Span> spans);
  void reserve(const Shape& shape, size_t table);
  void fill_batch(std::span<const Span> spans, const Shape& shape);
  cudaGraphExec_t graph_of(const Shape& shape);  // null where kernels are launched one by one
  void network(const Shape& shape);
  void attend(const Shape& shape, View view, size_t layer);
  void head(const Shape& shape);

  const ModelConfig* config_;
  const DeviceWeights* weights_;
  const KvMemory* memory_;
  int ordinal_;
  Heads heads_;
  cudaStream_t stream_ = nullptr;
  DeviceArray<float> inv_freq_;  // [head_dim / 2]
  std::unique_ptr<Batch> batch_;
  std::unique_ptr<Activations> a_;
  std::map<Shape, Graph> graphs_;

  // By span: where the rows that it asked for begin, among logits or tops, and how many.
  struct Asked {
    bool logits;
    int first, count;
  };
  std::vector<Asked> asked_;
  PinnedArray<float> logits_;  // [rows][vocab_size]
  PinnedArray<TopLogit> tops_;
  double seconds_ = 0;
};

}  // namespace orthrus::cuda
