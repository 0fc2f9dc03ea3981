// Forward passes on a CUDA device, one after the other as the host asks for them.
#pragma once

#include <vector>

#include "backends/cuda/context_memory.h"
#include "backends/cuda/graphs.h"
#include "backends/cuda/input_memory.h"
#include "backends/cuda/pass_kernels.h"
#include "backends/forward_pass.h"

namespace orthrus::cuda {

class CudaForwardPass final : public ForwardPass {
 public:
  // The network must outlive it. Device `ordinal` becomes that of the thread that uses it.
  CudaForwardPass(PassKernels& network, int ordinal) : network_(&network), ordinal_(ordinal) {}

  Status run(std::span<const Span> spans) override;
  HeadRows head_rows(size_t span) const override;
  double seconds() const override { return seconds_; }

 private:
  enum class Kind : uint8_t { kLogits, kSampled, kTop };

  PassSizes plan(std::span<const Span> spans);
  void enqueue(const PassSizes& shape);
  int fill_inputs(std::span<const Span> spans, const PassSizes& shape);

  PassKernels* network_;
  int ordinal_;
  InputMemory inputs_;
  ContextMemory context_memory_;
  Graphs<PassSizes> graphs_;
  int generation_ = 0;  // of the network's memory, that the graphs were captured for

  // By span: where the rows that it asked for begin, among those whose logits are needed or those
  // of which the largest is, and how many.
  struct Asked {
    Kind kind;
    int first, count;
    int context;  // its place among the contexts, or -1
  };
  std::vector<Asked> asked_;
  std::vector<const RowContext*> contexts_;  // of spans that are asked for choices
  PinnedArray<float> logits_;                // [rows][vocab_size]
  PinnedArray<Choice> sampled_, tops_;
  double seconds_ = 0;
};

}  // namespace orthrus::cuda
