// The kernels of a forward pass, and what they work in.
#pragma once

#include <memory>

#include "backends/cuda/device_weights.h"
#include "backends/cuda/kv_memory.h"
#include "backends/cuda/pass_sizes.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/cycle.h"
#include "kernels/cuda/pairwise.h"
#include "kernels/cuda/pass_inputs.h"
#include "orthrus/sampling.h"

namespace orthrus::cuda {

// Owns one stream, in whose order everything runs.
class PassKernels {
 public:
  // All must outlive it.
  PassKernels(const ModelConfig& config, const DeviceWeights& weights, const KvMemory& memory);
  ~PassKernels();
  PassKernels(const PassKernels&) = delete;
  PassKernels& operator=(const PassKernels&) = delete;

  // Makes room for passes up to this shape in every number, with so many pages of blocks, each of
  // which begins a page of its own. What is in flight has landed where that moves memory. Throws
  // std::bad_alloc, and then there is room for nothing.
  void reserve(const PassSizes& shape, int block_pages);

  // Counts how often memory has moved: what was captured before holds old addresses.
  int generation() const { return generation_; }

  // Puts the kernels of a pass into the stream. They depend on the shape and on addresses alone:
  // everything else is read from what lies there.
  void enqueue(const PassSizes& shape, const PassInputs& in, const RowContexts& contexts);

  // What a pass chose, the logits it computed, and what those have to offer, on the device; terms
  // where the heads have them.
  PassChoices choices() const;
  const float* logits() const;
  const DraftCandidates* candidates() const;
  const CandidateTerms* terms() const;

  cudaStream_t stream() const { return stream_; }
  const KvMemory& memory() const { return *memory_; }
  const ModelConfig& config() const { return *config_; }
  const Heads& heads() const { return heads_; }

 private:
  struct Activations;

  void attend(const PassSizes& shape, const PassInputs& in, const Tokens& all, View view,
              size_t layer);
  void head(const PassSizes& shape, const PassInputs& in, const RowContexts& contexts);
  void choose_drafts(const PassSizes& shape, const PassInputs& in);
  KvBatch batch_of(const PassSizes& shape, const PassInputs& in, View view, size_t layer) const;
  float2* rope_of(const PassSizes& shape, View view) const;

  const ModelConfig* config_;
  const DeviceWeights* weights_;
  const KvMemory* memory_;
  Heads heads_;
  Stream stream_;
  DeviceArray<float> inv_freq_;  // [head_dim / 2]
  std::unique_ptr<Activations> a_;
  int generation_ = 0;
};

// For any position. Without a context, greedy parameters choose nothing from a row of logits.
inline SelectRow select_row(const SamplingParams& params, int context) {
  const float greedy = context < 0 ? 0 : 1;
  return {.temperature = params.greedy() ? greedy : params.temperature,
          .top_p = params.top_p,
          .min_p = params.min_p,
          .top_k = params.top_k,
          .seed = params.seed,
          .greedy = params.greedy(),
          .context = context};
}

// An error of the device while decoding: CUDA keeps reporting it, and nothing can be computed any
// more.
inline void require(cudaError_t error) {
  check(error, "a forward pass");
}

}  // namespace orthrus::cuda
