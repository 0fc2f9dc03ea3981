// Kernels that were captured once, and are launched together.
#pragma once

#include <cuda_runtime_api.h>

#include <map>
#include <memory>
#include <utility>

#include "backends/cuda/device.h"

namespace orthrus::cuda {

// By what they were captured for.
template <typename Key>
class Graphs {
 public:
  void clear() { graphs_.clear(); }
  int captured() const { return captured_; }  // so far, the cleared ones too

  // The graph of what `enqueue` puts into the stream for this key.
  template <typename Enqueue>
  cudaGraphExec_t of(const Key& key, cudaStream_t stream, Enqueue enqueue) {
    if (const auto known = graphs_.find(key); known != graphs_.end()) return known->second.get();
    if (graphs_.size() >= kMost) {
      check(cudaStreamSynchronize(stream), "a forward pass");  // one of them may be running
      graphs_.clear();
    }
    const cudaGraphExec_t graph = capture(stream, enqueue);
    ++captured_;
    graphs_.emplace(key, Graph(graph, cudaGraphExecDestroy));
    // What this takes is not the first pass's.
    check(cudaGraphUpload(graph, stream), "a forward pass");
    check(cudaStreamSynchronize(stream), "a forward pass");
    return graph;
  }

 private:
  static constexpr size_t kMost = 128;
  using Graph = std::unique_ptr<CUgraphExec_st, cudaError_t (*)(cudaGraphExec_t)>;

  template <typename Enqueue>
  static cudaGraphExec_t capture(cudaStream_t stream, Enqueue enqueue) {
    cudaGraph_t captured = nullptr;
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "a forward pass");
    try {
      enqueue();
    } catch (...) {
      cudaStreamEndCapture(stream, &captured);
      if (captured != nullptr) cudaGraphDestroy(captured);
      throw;
    }
    check(cudaStreamEndCapture(stream, &captured), "a forward pass");
    cudaGraphExec_t graph = nullptr;
    const cudaError_t error = cudaGraphInstantiate(&graph, captured, 0);
    cudaGraphDestroy(captured);
    check(error, "a forward pass");
    return graph;
  }

  std::map<Key, Graph> graphs_;
  int captured_ = 0;
};

}  // namespace orthrus::cuda
