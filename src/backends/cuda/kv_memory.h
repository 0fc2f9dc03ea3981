// The KV cache's memory on a CUDA device.
#pragma once

#include "backends/cuda/device.h"
#include "kernels/cuda/kv_tiles.h"
#include "kernels/kv_layout.h"
#include "orthrus/config.h"

namespace orthrus::cuda {

// Where keys and values lie: a layer's pages lie together, and a page of the KvPool is the same
// page of all layers. Its address tells which one it is; the host never reads it.
class KvMemory {
 public:
  // Of so many pages for sequences, and others for the branches of trees, which begin and end
  // within a cycle. Throws Error(kSystem) when there is too little memory.
  KvMemory(const ModelConfig& config, size_t pages, size_t branch_pages);

  std::byte* address_of(size_t page) const {
    return reinterpret_cast<std::byte*>(data_.data() + page * stride_);
  }
  int page_at(const std::byte* address) const {
    return static_cast<int>((reinterpret_cast<const __nv_bfloat16*>(address) - data_.data()) /
                            static_cast<std::ptrdiff_t>(stride_));
  }
  KvPages of_layer(size_t layer) const { return {data_.data() + layer * layer_stride(), stride_}; }
  size_t layer_stride() const { return (pages_ + branch_pages_) * stride_; }  // elements
  // All layers of a page, in the stream's order.
  void copy(const std::byte* from, std::byte* to, cudaStream_t stream) const;

  size_t pages() const { return pages_; }
  // Those for branches come after them.
  int first_branch_page() const { return static_cast<int>(pages_); }
  size_t size() const { return data_.size(); }  // elements of all
  size_t stride() const { return stride_; }     // elements of a page of one layer

  static double bytes(const ModelConfig& config, size_t pages);

 private:
  size_t pages_, branch_pages_, stride_;
  DeviceArray<__nv_bfloat16> data_;
};

static_assert(kTilePositions == kPageSize);  // a page of the pool is a tile of each head

inline int pages_for(int positions) {
  return (positions + kTilePositions - 1) / kTilePositions;
}

}  // namespace orthrus::cuda
